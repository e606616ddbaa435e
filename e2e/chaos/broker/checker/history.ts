/**
 * What a run leaves behind: what every process asked of the broker and was told, and what was in the
 * broker when all was quiet. The checker knows nothing else.
 *
 * An event without its answer (`send` without `sent`, `verdict` without `settled`) has an unknown
 * outcome: the process was killed, or the broker was and never said.
 */

/** A message as its producer meant it. With `dueAtMs` (epoch) it is a timer, and its id is the handle. */
export type SentMessage = { id: string; topic: string; key: string; dueAtMs?: number };
/** Partition and offset are -1 for a timer. */
export type ReceiptFact = { id: string; partition: number; offset: number; duplicate: boolean };
export type Decision = 'commit' | 'rollback';
export type Verdict = 'ack' | 'retry' | 'dead-letter';

/** `at`: microseconds of the machine's monotonic clock, which all processes share. */
export type HistoryEvent = { at: number } & (
  | { kind: 'send'; call: string; messages: readonly SentMessage[] }
  | { kind: 'sent'; call: string; receipts: readonly ReceiptFact[] }
  /** Certainly not stored. */
  | { kind: 'send-refused'; call: string; code: string }
  | { kind: 'prepare'; transaction: string; messages: readonly SentMessage[] }
  | { kind: 'prepared'; transaction: string }
  /** The local decision: written before the broker is told, so it stands whatever happens then. */
  | { kind: 'decide'; transaction: string; decision: Decision }
  | { kind: 'decided'; transaction: string; decision: Decision; receipts: readonly ReceiptFact[] }
  | { kind: 'decide-refused'; transaction: string; code: string }
  | { kind: 'recall'; id: string }
  | { kind: 'recalled'; id: string; answer: boolean }
  | {
      kind: 'delivered';
      /** Unique per delivery; `verdict`, `settled` and `refused` name it. */
      delivery: string;
      group: string;
      /** Epoch milliseconds, to be compared with due times. */
      atMs: number;
      attempt: number;
      message: { id: string; topic: string; key: string; partition: number; offset: number };
      /** The body was not the one that belongs to the id. */
      altered?: true;
    }
  | { kind: 'verdict'; delivery: string; verdict: Verdict }
  /** The broker has recorded the verdict. */
  | { kind: 'settled'; delivery: string }
  /** The lease was lost, or the connection with it; the verdict may have been recorded. */
  | { kind: 'refused'; delivery: string; code: string }
);

/** One stored message, read from the log at the end. */
export type LogRow = { topic: string; partition: number; offset: number; id: string; storedAtMs: number };

export type FinalState = {
  groups: readonly { name: string; order: 'unordered' | 'by-key' }[];
  log: readonly LogRow[];
  deadLetters: readonly { group: string; id: string }[];
  /** What was still open when the time for draining was over; empty when all was quiet. */
  leftovers: readonly string[];
};

export type History = { events: readonly HistoryEvent[]; final: FinalState };

/**
 * Reads one process's file. Its last line may be torn by a SIGKILL; it then counts as never written.
 * @throws when any other line is damaged: the record of the run is then worth nothing.
 */
export function parseHistory(text: string): HistoryEvent[] {
  const lines = text.split('\n');
  lines.pop(); // empty after the last newline, or torn
  return lines.map((line) => JSON.parse(line) as HistoryEvent);
}

/** The events of all processes in the order in which they happened. */
export function mergeHistories(histories: readonly (readonly HistoryEvent[])[]): HistoryEvent[] {
  return histories.flat().sort((left, right) => left.at - right.at);
}
