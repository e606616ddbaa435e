import type { BrokerAdmin } from '../broker-admin.js';
import type {
  BatchHandler,
  BrokerConsumer,
  BrokerPort,
  CheckBack,
  DeliveredMessage,
  PendingTransaction,
  Subscription,
  TransactionDecision,
} from '../broker-port.js';
import { MessagingError, type ErrorKind } from '../errors.js';
import type { Attempt, DeadLetterReason, OutgoingMessage, SendReceipt, StoredMessage } from '../message.js';

export type FakeDeadLetter = {
  group: string;
  message: StoredMessage;
  reason: DeadLetterReason;
  kind: ErrorKind | undefined;
  error: string;
  history: readonly Attempt[];
};

type Member = { subscription: Subscription; handler: BatchHandler };

/**
 * A broker that is one array deep, for specs of what stands on the port. It delivers at once, retries
 * at once (and notes the delay that was asked for) and applies no tag filter unless told to. What a real
 * broker owes is the conformance suite's business.
 */
export class FakeBroker implements BrokerPort {
  readonly sent: OutgoingMessage[] = [];
  /** Verdicts in the order in which they came: `ack m1`, `retry m1`, `dead-letter m1`. */
  readonly verdicts: string[] = [];
  readonly retryDelaysMs: number[] = [];
  /** Ids of the messages whose leases were extended, in that order. */
  readonly extended: string[] = [];
  readonly deadLettered: FakeDeadLetter[] = [];
  readonly subscriptions: Subscription[] = [];
  readonly closed: string[] = [];
  readonly decisions: string[] = [];
  /** What receipts say. */
  status: SendReceipt['status'] = 'SEND_OK';
  /** Set to make commits and rollbacks fail. */
  decisionError: Error | undefined;
  private readonly members: Member[] = [];
  private readonly checks = new Map<string, CheckBack>();
  private readonly running = new Set<Promise<void>>();
  private readonly leases = new Map<string, () => void>();
  private nextId = 1;

  send(messages: readonly OutgoingMessage[]): Promise<SendReceipt[]> {
    this.sent.push(...messages);
    const stored = messages.map((message) => this.store(message));
    for (const member of this.members) this.offer(member, stored);
    return Promise.resolve(stored.map((each) => ({ ...receiptOf(each), status: this.status })));
  }

  sendOneway(messages: readonly OutgoingMessage[]): void {
    void this.send(messages);
  }

  prepare(_producerGroup: string, messages: readonly OutgoingMessage[]): Promise<PendingTransaction> {
    const transactionId = `tx${this.nextId++}`;
    const decide = async (decision: TransactionDecision): Promise<SendReceipt[]> => {
      if (this.decisionError !== undefined) throw this.decisionError;
      this.decisions.push(decision);
      return decision === 'commit' ? this.send(messages) : [];
    };
    return Promise.resolve({
      transactionId,
      commit: () => decide('commit'),
      rollback: async () => void (await decide('rollback')),
    });
  }

  onCheckBack(producerGroup: string, check: CheckBack): Promise<void> {
    this.checks.set(producerGroup, check);
    return Promise.resolve();
  }

  /** What a broker does when a transaction has had no decision for long. */
  async checkBack(
    producerGroup: string,
    transactionId: string,
    messages: readonly OutgoingMessage[],
  ): Promise<TransactionDecision | undefined> {
    return this.checks.get(producerGroup)?.(transactionId, messages);
  }

  recall(timerId: string): Promise<boolean> {
    return Promise.resolve(this.sent.some((message) => message.timerId === timerId));
  }

  reschedule(timerId: string): Promise<boolean> {
    return this.recall(timerId);
  }

  subscribe(subscription: Subscription, handler: BatchHandler): Promise<BrokerConsumer> {
    this.subscriptions.push(subscription);
    const member = { subscription, handler };
    this.members.push(member);
    const close = async (): Promise<void> => {
      this.members.splice(this.members.indexOf(member), 1);
      await this.settled();
      this.closed.push(subscription.group);
    };
    return Promise.resolve({ close });
  }

  /** What was tried with a message before its first delivery here. */
  pastOf: (message: StoredMessage) => readonly Attempt[] = () => [];

  /** Waits until every delivery, retries included, has ended. */
  async settled(): Promise<void> {
    while (this.running.size > 0) await Promise.all(this.running);
  }

  /** Gives a message to somebody else while its handler is still at it. */
  loseLease(messageId: string): void {
    this.leases.get(messageId)?.();
  }

  /** Delivers a message again, as after a lost ack. */
  redeliver(index: number): void {
    const message = this.sent[index];
    if (message === undefined) throw new RangeError(`nothing was sent as ${index}`);
    const stored = this.store({ ...message, id: message.id ?? `m${index + 1}` });
    for (const member of this.members) this.offer(member, [stored]);
  }

  private offer(member: Member, messages: readonly StoredMessage[]): void {
    const wanted = messages.filter(({ topic, tag }) =>
      member.subscription.topics.some((f) => f.topic === topic && (f.tags?.includes(tag) ?? true)),
    );
    const size = member.subscription.maxBatchMessages ?? 1;
    for (let from = 0; from < wanted.length; from += size) {
      this.deliver(
        member,
        wanted.slice(from, from + size).map((message) => ({ message, history: this.pastOf(message) })),
      );
    }
  }

  private deliver(member: Member, batch: { message: StoredMessage; history: readonly Attempt[] }[]): void {
    const deliveries = batch.map(({ message, history }) => this.delivery(member, message, history));
    const handled: Promise<void> = Promise.resolve()
      .then(() => member.handler(deliveries))
      .finally(() => this.running.delete(handled));
    this.running.add(handled);
  }

  private delivery(member: Member, message: StoredMessage, history: readonly Attempt[]): DeliveredMessage {
    const lease = new AbortController();
    const { group } = member.subscription;
    const attempt = history.length + 1;
    this.leases.set(message.id, () => lease.abort());
    const verdict = (name: string, then: () => void = () => undefined): Promise<void> => {
      if (lease.signal.aborted) return Promise.reject(new MessagingError('LEASE_LOST', message.id));
      this.verdicts.push(`${name} ${message.id}`);
      then();
      return Promise.resolve();
    };
    return {
      message,
      attempt,
      history,
      signal: lease.signal,
      ack: () => verdict('ack'),
      retry: ({ delayMs, error }) =>
        verdict('retry', () => {
          this.retryDelaysMs.push(delayMs);
          const failed = { attempt, atMs: 0, consumer: 'fake', error };
          this.deliver(member, [{ message, history: [...history, failed] }]);
        }),
      deadLetter: ({ reason, kind, error }) =>
        verdict('dead-letter', () => {
          this.deadLettered.push({ group, message, reason, kind, error, history });
        }),
      extend: () => {
        if (lease.signal.aborted) return verdict('extend');
        this.extended.push(message.id);
        return Promise.resolve();
      },
    };
  }

  private store(message: OutgoingMessage): StoredMessage {
    const { topic, tag, key, headers = {}, body, priority = 4 } = message;
    const offset = this.nextId++;
    const id = message.id ?? `m${offset}`;
    return { id, topic, tag, key, partition: 0, offset, headers, body, bornAtMs: 0, storedAtMs: 0, priority };
  }

  pull(): Promise<readonly DeliveredMessage[]> {
    return Promise.resolve([]);
  }

  get admin(): BrokerAdmin {
    throw new TypeError('the fake broker has no admin calls');
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function receiptOf({ id, topic, partition, offset }: StoredMessage): SendReceipt {
  return { status: 'SEND_OK', messageId: id, topic, partition, offset, duplicate: false };
}
