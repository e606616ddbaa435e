import { Inject, Injectable } from '@nestjs/common';
import type { BrokerPort, PendingTransaction } from './broker-port.js';
import type { MessageContract } from './contract.js';
import { envelope, seal, type Envelope, type SendOptions } from './envelope.js';
import { describeError, kindOf } from './failure.js';
import type { OutgoingMessage, SendReceipt } from './message.js';
import { BROKER_PORT, MESSAGING_OPTIONS, type MessagingOptions } from './messaging.options.js';
import { silentLogger, type MessagingLogger } from './observer.js';
import { traceContext } from './trace-context.js';

/** How a service sends. Everything rejects with a `MessagingError`, whose `kind` says whether another try can help. */
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

  /** Resolves when the message is as durable as its topic promises. */
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
    return this.broker.send(this.seal(envelopes));
  }

  /** Takes back a delayed message. False when it is unknown or was delivered already. */
  recall(timerId: string): Promise<boolean> {
    return this.broker.recall(timerId);
  }

  /**
   * Makes a local database transaction and the messages about it one thing: both happen or neither.
   *
   *     prepare (half messages) ──> local() ──> commit        a consumer sees them
   *                                    └ throws ──> rollback   nobody ever does
   *
   * A process that dies in between leaves half messages; the broker then asks the group's `@CheckBack`.
   * That is also what becomes of a decision which cannot be delivered, so once `local` has succeeded,
   * an unreachable broker is not an error. `local` must have rolled back its own work when it throws.
   */
  async transactional<T>(
    producerGroup: string,
    envelopes: readonly Envelope[],
    local: () => Promise<T>,
  ): Promise<T> {
    if (envelopes.length === 0) return local();
    const pending = await this.broker.prepare(producerGroup, this.seal(envelopes));
    let result: T;
    try {
      result = await local();
    } catch (error) {
      await this.rollback(pending, producerGroup);
      throw error;
    }
    await this.commit(pending, producerGroup);
    return result;
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
      // Anything but a broker that is away (a check-back that said rollback too early, a transaction
      // that is unknown) means that the messages are gone though the local work is done: say so.
      if (kindOf(error) !== 'transient') throw error;
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

  private seal(envelopes: readonly Envelope[]): OutgoingMessage[] {
    const context = {
      producer: this.options.producer,
      nowMs: (this.options.clock ?? Date).now(),
      validate: this.validate,
      causeOf: (key: string) => traceContext.causeOf(key),
    };
    return envelopes.map((each) => seal(each, context));
  }
}
