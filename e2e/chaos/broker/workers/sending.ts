import { MessagingError, type OutgoingMessage, type SendReceipt } from '#libs/messaging';
import type { ReceiptFact, SentMessage } from '../checker/history.js';
import { TOPICS } from '../topics.js';
import { bodyOf } from './body.js';
import { type Worker, pause } from './worker.js';

const KEYS_PER_PRODUCER = 6;
/** Of the keys, this many are shared with the other producers. */
const SHARED_KEYS = 2;
/** Well within the two minutes in which the broker recognises a repeated id. */
const GIVE_UP_MS = 60_000;
const RETRY_MS = 50;
/** Share of the timers that are taken back. */
const RECALL_SHARE = 0.35;
/** Sent messages that may be sent once more. */
const REMEMBERED = 50;

/** Codes after which nothing was stored, if no earlier try of the call ended otherwise. */
const REFUSALS: readonly string[] = [
  'BUFFER_FULL',
  'QUEUE_FULL',
  'STORAGE_FULL',
  'INVALID_ARGUMENT',
  'MESSAGE_TOO_LARGE',
];

/** Sends as a good client does: the same ids again until there is an answer. */
export class Sending {
  private calls = 0;
  private messages = 0;
  private readonly sent: { at: number; message: SentMessage }[] = [];

  constructor(private readonly worker: Worker) {}

  async sendOne(): Promise<void> {
    const message = this.message();
    if (!(await this.send([message]))) return;
    this.sent.push({ at: Date.now(), message });
    if (this.sent.length > REMEMBERED) this.sent.shift();
  }

  async sendBatch(): Promise<void> {
    await this.send(Array.from({ length: this.worker.between(2, 8) }, () => this.message()));
  }

  /** What is there already: the broker has to answer with the first copy. */
  async sendAgain(): Promise<void> {
    const { at, message } = this.sent[this.worker.between(0, this.sent.length - 1)] ?? {};
    if (at === undefined || message === undefined || Date.now() - at > GIVE_UP_MS / 2) return;
    await this.send([message]);
  }

  async sendTimer(): Promise<void> {
    const { worker } = this;
    const { maxDelayMs } = worker.settings;
    const delayMs = worker.between(50, worker.chance(0.2) ? maxDelayMs : maxDelayMs / 5);
    const message = { ...this.message(), dueAtMs: Date.now() + delayMs };
    if (!(await this.send([message])) || !worker.chance(RECALL_SHARE)) return;
    // Some are recalled early, some in the very moment, some too late.
    await pause(Math.min(delayMs * (worker.random() + 0.2), delayMs + worker.between(-5, 300)));
    await this.recall(message.id);
  }

  message(): SentMessage {
    const { worker } = this;
    const { name, run } = worker.settings;
    const number = worker.between(1, KEYS_PER_PRODUCER);
    const key = number <= SHARED_KEYS ? `shared-${number}` : `${name}-${number}`;
    const topic = TOPICS[worker.chance(0.25) ? 1 : 0].name;
    return { id: `${name}.${run}-${++this.messages}`, topic, key };
  }

  /** True when the send was acknowledged. */
  private async send(messages: readonly SentMessage[]): Promise<boolean> {
    const { worker } = this;
    const call = `${worker.settings.name}.${worker.settings.run}/${++this.calls}`;
    worker.history.add({ kind: 'send', call, messages });
    let refusal: string | undefined;
    const receipts = await insist(
      () => worker.broker.send(messages.map(outgoing)),
      ({ code, tries }) => {
        refusal = tries === 1 && REFUSALS.includes(code) ? code : undefined;
      },
    );
    if (receipts !== undefined) worker.history.add({ kind: 'sent', call, receipts: receipts.map(factOf) });
    else if (refusal !== undefined) worker.history.add({ kind: 'send-refused', call, code: refusal });
    return receipts !== undefined;
  }

  private async recall(id: string): Promise<void> {
    const { history, broker } = this.worker;
    history.add({ kind: 'recall', id });
    const answer = await insist(() => broker.recall(id));
    if (answer !== undefined) history.add({ kind: 'recalled', id, answer });
  }
}

/**
 * Asks until there is an answer, as long as asking again can help. Undefined when it cannot, or when it took
 * too long: the outcome is then unknown.
 */
export async function insist<Answer>(
  ask: () => Promise<Answer>,
  failed: (failure: { code: string; tries: number }) => void = () => undefined,
): Promise<Answer | undefined> {
  const startedAt = performance.now();
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof MessagingError)) throw error;
      failed({ code: error.code, tries });
      if (error.kind !== 'transient' || performance.now() - startedAt > GIVE_UP_MS) return undefined;
      await pause(RETRY_MS);
    }
  }
}

export const outgoing = ({ id, topic, key, dueAtMs }: SentMessage): OutgoingMessage => ({
  id,
  topic,
  tag: 'sent',
  key,
  body: bodyOf(id),
  ...(dueAtMs === undefined ? {} : { deliverAtMs: dueAtMs }),
});

export const factOf = ({ messageId, partition, offset, duplicate }: SendReceipt): ReceiptFact => ({
  id: messageId,
  partition,
  offset,
  duplicate,
});
