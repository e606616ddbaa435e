import { Injectable } from '@nestjs/common';
import { OrderSubmitted } from '#libs/contracts';
import { MessageBus, MessagingError, type MessagingErrorCode } from '#libs/messaging';
import { BrokerGate } from '../broker-gate/broker-gate.js';

/** Failures after which it is certain that the broker has not stored the message. After all others it may have. */
const CERTAINLY_NOT_SENT: ReadonlySet<MessagingErrorCode> = new Set([
  'BUFFER_FULL',
  'QUEUE_FULL',
  'STORAGE_FULL',
  'MESSAGE_TOO_LARGE',
  'INVALID_ARGUMENT',
  'INVALID_PAYLOAD',
]);

/** The order did not reach the broker, or nobody knows whether it did. */
export class SubmitFailed extends Error {
  constructor(
    /** True: the message does not exist and never will. */
    readonly certainlyNotSent: boolean,
    options: ErrorOptions,
  ) {
    super('the order was not submitted', options);
    this.name = 'SubmitFailed';
  }
}

/** Hands accepted orders to the broker. */
@Injectable()
export class SubmitOrder {
  constructor(
    private readonly bus: MessageBus,
    private readonly gate: BrokerGate,
  ) {}

  /**
   * Resolves when the broker has the order. The message id is made from the order number, so that a
   * repeat within the broker's window is stored once; after that the claim of the hold sorts it out.
   *
   * @throws {SubmitFailed}
   */
  async send(order: OrderSubmitted): Promise<void> {
    try {
      await this.gate.send(() => this.bus.send(OrderSubmitted, order, { id: messageIdOf(order.orderNo) }));
    } catch (error) {
      throw new SubmitFailed(isCertainlyNotSent(error), { cause: error });
    }
  }
}

const messageIdOf = (orderNo: string): string => `order-submitted:${orderNo}`;

const isCertainlyNotSent = (error: unknown): boolean =>
  error instanceof MessagingError && CERTAINLY_NOT_SENT.has(error.code);
