import { Inject, Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import type { BrokerPort, DeliveredMessage, PendingTransaction, Subscription } from './broker-port.js';
import { confirmed } from './confirmed.js';
import type { MessageContract } from './contract.js';
import { readDelivery } from './delivery-pipeline.js';
import type { Delivery } from './delivery.js';
import { envelope, seal, type Envelope, type SendOptions } from './envelope.js';
import { MessagingError } from './errors.js';
import { describeError } from './failure.js';
import { isNothingWritten } from './local-write.js';
import { MAX_BODY_BYTES, type OutgoingMessage, type SendReceipt } from './message.js';
import { BROKER_PORT, MESSAGING_OPTIONS, type MessagingOptions } from './messaging.options.js';
import { silentLogger, type MessagingLogger } from './observer.js';
import type { OutboxStore } from './outbox.js';
import { traceContext } from './trace-context.js';

/** As for a subscription, but for what it takes. */
export type PullOptions = Omit<Subscription, 'topics' | 'mode' | 'maxBatchMessages'> & {
  maxMessages: number;
  /** Milliseconds to wait for the first one. */
  waitMs: number;
};

/** A message that was pulled, and what becomes of it. */
export type Pulled<Payload> = Delivery<Payload> & Pick<DeliveredMessage, 'ack' | 'retry' | 'deadLetter'>;

/** How a service sends, and takes what it wants at its own pace. Everything rejects with a `MessagingError`, whose `kind` says whether another try can help. */
@Injectable()
export class MessageBus {
  private readonly validate: boolean;
  private readonly logger: MessagingLogger;

  constructor(
    @Inject(BROKER_PORT) private readonly broker: BrokerPort,
    @Inject(MESSAGING_OPTIONS) private readonly options: MessagingOptions,
  ) {
    this.validate = options.validate ?? process.env['NODE_ENV'] !== 'production';
    this.logger = options.logger ?? silentLogger;
  }

  /** Resolves when the message is as durable as its topic promises; rejects with `FLUSH_TIMEOUT` when that is not known in time. */
  async send<Payload>(
    contract: MessageContract<Payload>,
    payload: NoInfer<Payload>,
    options?: SendOptions,
  ): Promise<SendReceipt> {
    const [receipt] = await this.sendBatch([envelope(contract, payload, options)]);
    if (receipt === undefined) throw new TypeError('the broker answered a send without a receipt');
    return receipt;
  }

  /** Sends all in one call; on the embedded broker all are stored or none is. Receipts are in the same order. */
  async sendBatch(envelopes: readonly Envelope[]): Promise<SendReceipt[]> {
    if (envelopes.length === 0) return [];
    return confirmed(await this.broker.send(this.seal(envelopes)));
  }

  /** Hands the message over and waits for no answer: it may be lost, and nobody is told. @throws {MessagingError} for what cannot be sent at all */
  sendOneway<Payload>(
    contract: MessageContract<Payload>,
    payload: NoInfer<Payload>,
    options?: SendOptions,
  ): void {
    this.broker.sendOneway(this.seal([envelope(contract, payload, options)]));
  }

  /**
   * Takes up to `maxMessages` of a contract that wait for a group, for work at a pace of its own: `waitMs` is how long to
   * wait for the first. Whoever pulls settles each; what is not settled comes again when its lease ends. No inbox
   * and no retry policy stand behind it, those are `@Consume`'s. What is not what the contract says is dead-lettered as `not-parseable`
   * and left out, so that fewer come than were there.
   */
  async pull<Payload>(
    contract: MessageContract<Payload>,
    { maxMessages, waitMs, ...options }: PullOptions,
  ): Promise<Pulled<Payload>[]> {
    const { topic, tag } = contract;
    const subscription = { ...options, topics: [{ topic, tags: [tag] }] };
    const pulled: Pulled<Payload>[] = [];
    for (const delivered of await this.broker.pull(subscription, { maxMessages, waitMs })) {
      let delivery: Delivery<unknown>;
      try {
        delivery = readDelivery(contract, delivered);
      } catch (error) {
        await delivered.deadLetter({ reason: 'not-parseable', error: describeError(error), kind: 'invalid' });
        continue;
      }
      pulled.push({
        ...(delivery as Delivery<Payload>),
        ack: () => delivered.ack(),
        retry: (failure) => delivered.retry(failure),
        deadLetter: (cause) => delivered.deadLetter(cause),
      });
    }
    return pulled;
  }

  /** Takes back a delayed message, of `topic` where several have the handle. False when it is unknown or was delivered already. */
  recall(timerId: string, topic?: string): Promise<boolean> {
    return this.broker.recall(timerId, topic);
  }

  /** Sets another time for a delayed message; epoch milliseconds. False when it no longer waits. Names as for `recall`. */
  reschedule(timerId: string, deliverAtMs: number, topic?: string): Promise<boolean> {
    return this.broker.reschedule(timerId, deliverAtMs, topic);
  }

  /**
   * Makes a local database transaction and the messages about it one thing: both happen or neither.
   *
   *     prepare (half messages) ──> local() ──> commit                           a consumer sees them
   *                                    ├ nothing was written ──> rollback         nobody ever does
   *                                    └ nobody knows ──> left to the check-back  one or the other, later
   *
   * A process that dies in between leaves half messages; the broker then asks the group's `@CheckBack`.
   * That is also what becomes of a decision which cannot be delivered, so once `local` has succeeded,
   * an unreachable broker is not an error.
   *
   * `local` and the check-back have rules to keep: one instant, one statement with a deadline, what a lost race is, when
   * a missing write means "never". They are in `local-write.ts`; whoever copies this copies those.
   *
   * In a service that has chosen the outbox (`outbox.ts`) the messages are rows of the same transaction, and a broker that is
   * away is not asked at all. `local` is then handed that transaction and has to write through it; with half messages it is
   * handed nothing, and its statement is a transaction of its own.
   *
   * @throws what `local` threw when that proves that nothing was written; `OUTCOME_UNKNOWN`, which is transient,
   *   when it does not, since a lost answer is no answer; the broker's error when nothing could be prepared,
   *   or when it had dropped the messages although the local work is done.
   */
  async transactional<T, Tx = unknown>(
    producerGroup: string,
    envelopes: readonly Envelope[],
    local: (tx: Tx | undefined) => Promise<T>,
  ): Promise<T> {
    if (envelopes.length === 0) return local(undefined);
    const outbox = this.options.outbox as OutboxStore<Tx> | undefined;
    if (outbox !== undefined) return this.throughOutbox(outbox, producerGroup, envelopes, local);
    const pending = await this.broker.prepare(producerGroup, this.seal(envelopes));
    let result: T;
    try {
      result = await local(undefined);
    } catch (error) {
      if (!this.isNothingWritten(error)) {
        const fields = { transactionId: pending.transactionId, producerGroup };
        throw this.unknown(fields, error, 'it is left to the check-back');
      }
      await this.rollback(pending, producerGroup);
      throw error;
    }
    await this.commit(pending, producerGroup);
    return result;
  }

  private async throughOutbox<T, Tx>(
    outbox: OutboxStore<Tx>,
    producerGroup: string,
    envelopes: readonly Envelope[],
    local: (tx: Tx) => Promise<T>,
  ): Promise<T> {
    // Always checked: a row that no consumer can read, or no broker takes, would be found much later.
    const messages = this.seal(envelopes, true).map((message) => ({ id: randomUUID(), ...message }));
    for (const { topic, tag, body } of messages) {
      if (body.byteLength <= MAX_BODY_BYTES) continue;
      const size = `${body.byteLength} bytes, ${MAX_BODY_BYTES} are allowed`;
      throw new MessagingError('MESSAGE_TOO_LARGE', `${topic}.${tag} has a body of ${size}`);
    }
    try {
      return await outbox.write(messages, local);
    } catch (error) {
      if (this.isNothingWritten(error)) throw error;
      throw this.unknown({ producerGroup }, error, 'its messages are in the same transaction');
    }
  }

  private isNothingWritten(error: unknown): boolean {
    return isNothingWritten(error, this.options.provesNothingWritten ?? (() => false));
  }

  private unknown(fields: object, cause: unknown, andThen: string): MessagingError {
    const error = describeError(cause);
    this.logger.warn({ ...fields, error }, `the local write may have happened or not; ${andThen}`);
    const detail = 'it is not known yet whether this was done; ask again in a moment';
    return new MessagingError('OUTCOME_UNKNOWN', detail, { cause });
  }

  private async rollback(pending: PendingTransaction, producerGroup: string): Promise<void> {
    try {
      await pending.rollback();
    } catch (error) {
      // The caller is owed the error of its local work, not this one: the check-back rolls back instead.
      this.leaveToCheckBack(pending, producerGroup, 'rollback', error);
    }
  }

  private async commit(pending: PendingTransaction, producerGroup: string): Promise<void> {
    try {
      await pending.commit();
    } catch (error) {
      // The broker has dropped the messages although the local work is done (a check-back said rollback
      // too early, by a clock that was set, say). That must not pass for a success.
      if (isDropped(error)) throw error;
      this.leaveToCheckBack(pending, producerGroup, 'commit', error);
    }
  }

  private leaveToCheckBack(
    { transactionId }: PendingTransaction,
    producerGroup: string,
    decision: string,
    error: unknown,
  ): void {
    const fields = { transactionId, producerGroup, decision, error: describeError(error) };
    this.logger.warn(fields, 'the decision could not be delivered; it is left to the check-back');
  }

  private seal(envelopes: readonly Envelope[], validate = this.validate): OutgoingMessage[] {
    const context = {
      producer: this.options.producer,
      nowMs: (this.options.clock ?? Date).now(),
      validate,
      causeOf: (key: string) => traceContext.causeOf(key),
    };
    return envelopes.map((each) => seal(each, context));
  }
}

const isDropped = (error: unknown): boolean =>
  error instanceof MessagingError &&
  (error.code === 'TRANSACTION_CONFLICT' || error.code === 'UNKNOWN_TRANSACTION');
