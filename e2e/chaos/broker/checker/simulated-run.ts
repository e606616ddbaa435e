import type { Decision, History, HistoryEvent, LogRow, SentMessage, Verdict } from './history.js';

/** What becomes of a send: `torn` outcomes leave the producer without an answer. */
export type SendOutcome = 'acknowledged' | 'refused' | 'torn-before' | 'torn-after';
export type TimerOutcome = 'fired' | 'recalled' | 'recall-denied' | 'recall-unknown' | 'torn-before';
export type TransactionOutcome = Decision | 'committed-unknown' | 'undecided' | 'checked-commit';
/** The life of one message in one group: what came before the verdict that stood, and that verdict. */
export type Consumption = {
  before: readonly ('killed' | 'refused' | 'ack-lost' | 'retry')[];
  last: 'ack' | 'dead-letter' | 'ack-unconfirmed';
  /** A copy that was handed out earlier reaches its handler late. */
  stale: boolean;
};

const PARTITIONS = 2;
export const GROUPS = [
  { name: 'any', order: 'unordered' },
  { name: 'ordered', order: 'by-key' },
] as const;

/**
 * A broker that keeps every promise, reduced to what a history shows of it. The checker has to accept
 * whatever comes out of it, and to object to every change that a fault would make.
 */
export class SimulatedRun {
  readonly events: HistoryEvent[] = [];
  private readonly log: LogRow[] = [];
  private readonly ends = new Map<string, number>();
  private readonly deadLetters: { group: string; id: string }[] = [];
  private readonly keys = new Map<string, string>();
  private readonly timers = new Set<string>();
  private now = 0;
  private calls = 0;

  send(keys: readonly string[], outcome: SendOutcome): void {
    const messages = keys.map((key) => this.message(key));
    const call = `call-${++this.calls}`;
    this.add({ kind: 'send', call, messages });
    if (outcome === 'refused') this.add({ kind: 'send-refused', call, code: 'BUFFER_FULL' });
    if (outcome === 'refused' || outcome === 'torn-before') return;
    const receipts = messages.map((message) => this.store(message));
    if (outcome === 'acknowledged') this.add({ kind: 'sent', call, receipts });
  }

  /** Sends what is there already: the broker answers with the first copy. */
  resend(index: number): void {
    const plain = this.log.filter(({ id }) => !this.timers.has(id));
    const row = plain[index % Math.max(1, plain.length)];
    if (row === undefined) return;
    const { id, topic, partition, offset } = row;
    const call = `call-${++this.calls}`;
    this.add({ kind: 'send', call, messages: [{ id, topic, key: this.keys.get(id) ?? '' }] });
    this.add({ kind: 'sent', call, receipts: [{ id, partition, offset, duplicate: true }] });
  }

  timer(key: string, outcome: TimerOutcome): void {
    const message = { ...this.message(key), dueAtMs: this.now + 100 };
    const { id } = message;
    this.timers.add(id);
    const call = `call-${++this.calls}`;
    this.add({ kind: 'send', call, messages: [message] });
    if (outcome === 'torn-before') return;
    this.add({ kind: 'sent', call, receipts: [{ id, partition: -1, offset: -1, duplicate: false }] });
    if (outcome === 'recalled') {
      this.add({ kind: 'recall', id });
      this.add({ kind: 'recalled', id, answer: true });
      return;
    }
    if (outcome === 'recall-unknown') this.add({ kind: 'recall', id });
    this.now += 100;
    this.store(message);
    if (outcome !== 'recall-denied') return;
    this.add({ kind: 'recall', id });
    this.add({ kind: 'recalled', id, answer: false });
  }

  transaction(keys: readonly string[], outcome: TransactionOutcome): void {
    const transaction = `transaction-${++this.calls}`;
    const messages = keys.map((key) => this.message(key));
    this.add({ kind: 'prepare', transaction, messages });
    if (outcome === 'undecided') return;
    this.add({ kind: 'prepared', transaction });
    const decision = outcome === 'rollback' ? 'rollback' : 'commit';
    this.add({ kind: 'decide', transaction, decision });
    const receipts = decision === 'commit' ? messages.map((message) => this.store(message)) : [];
    if (outcome === 'committed-unknown') return;
    // A check-back that came first has decided: repeating it is answered without receipts.
    const known = outcome === 'checked-commit' ? [] : receipts;
    this.add({ kind: 'decided', transaction, decision, receipts: known });
  }

  /** Delivers everything that is stored to both groups, as `next` says. */
  consume(next: () => Consumption): void {
    for (const { name } of GROUPS) for (const row of this.log) this.consumeOne(name, row, next());
  }

  history(): History {
    return {
      events: this.events,
      final: { groups: GROUPS, log: this.log, deadLetters: this.deadLetters, leftovers: [] },
    };
  }

  private consumeOne(group: string, row: LogRow, { before, last, stale }: Consumption): void {
    let attempt = 1;
    for (const way of before) this.fail(this.deliver(group, row, attempt++), way);
    const late = stale ? this.now : undefined;
    const delivery = this.deliver(group, row, attempt);
    const verdict: Verdict = last === 'dead-letter' ? 'dead-letter' : 'ack';
    this.add({ kind: 'verdict', delivery, verdict });
    if (last !== 'ack-unconfirmed') this.add({ kind: 'settled', delivery });
    if (verdict === 'dead-letter') this.deadLetters.push({ group, id: row.id });
    if (late !== undefined && last !== 'ack-unconfirmed')
      this.fail(this.deliver(group, row, attempt), 'refused');
  }

  private fail(delivery: string, way: Consumption['before'][number]): void {
    if (way === 'killed') return;
    this.add({ kind: 'verdict', delivery, verdict: way === 'retry' ? 'retry' : 'ack' });
    if (way === 'retry') this.add({ kind: 'settled', delivery });
    if (way === 'refused') this.add({ kind: 'refused', delivery, code: 'LEASE_LOST' });
  }

  private deliver(group: string, { id, topic, partition, offset }: LogRow, attempt: number): string {
    const delivery = `delivery-${++this.calls}`;
    const message = { id, topic, partition, offset, key: this.keys.get(id) ?? '' };
    this.add({ kind: 'delivered', delivery, group, atMs: this.now, attempt, message });
    return delivery;
  }

  private message(key: string): SentMessage {
    const id = `message-${this.keys.size + 1}`;
    this.keys.set(id, key);
    return { id, topic: 'topic', key };
  }

  private store({ id, topic, key }: SentMessage) {
    const partition = (key.codePointAt(0) ?? 0) % PARTITIONS;
    const place = `${topic}/${partition}`;
    const offset = this.ends.get(place) ?? 0;
    this.ends.set(place, offset + 1);
    this.log.push({ topic, partition, offset, id, storedAtMs: this.now });
    return { id, partition, offset, duplicate: false };
  }

  private add(
    event: HistoryEvent extends infer Event
      ? Event extends { at: number }
        ? Omit<Event, 'at'>
        : never
      : never,
  ): void {
    this.now += 1;
    this.events.push({ ...event, at: this.now });
  }
}
