import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { OrderSubmitted } from '#libs/contracts';
import {
  BROKER_PORT,
  MessageBus,
  MessagingError,
  type BrokerPort,
  type MessagingErrorCode,
} from '#libs/messaging';
import { LOGGER } from '#libs/service-kit';
import { overloaded } from '../domain/errors.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';

/** Failures after which it is certain that the broker has not stored the message. After all others it may have. */
const CERTAINLY_NOT_SENT: ReadonlySet<MessagingErrorCode> = new Set([
  'BUFFER_FULL',
  'QUEUE_FULL',
  'MESSAGE_TOO_LARGE',
  'INVALID_ARGUMENT',
  'INVALID_PAYLOAD',
]);
const PROBE_TIMEOUT_MS = 1_000;
const PROBE_PAUSE_MS = 100;

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

/**
 * Hands accepted orders to the broker. After a failure the gate is shut until the broker answers
 * again: every further request would take a hold that nobody can be told about, wait for the whole
 * timeout, and keep its tickets from other buyers until the reaper comes.
 */
@Injectable()
export class SubmitOrder {
  private brokerIsAway = false;

  constructor(
    private readonly bus: MessageBus,
    @Inject(BROKER_PORT) private readonly broker: BrokerPort,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** @throws {DomainError} `OVERLOADED` while the broker is known to be away. */
  requireOpen(): void {
    if (this.brokerIsAway) throw overloaded('Orders cannot be queued right now.');
  }

  /**
   * Resolves when the broker has the order. The message id is made from the order number, so that a
   * repeat within the broker's window is stored once; after that the claim of the hold sorts it out.
   *
   * @throws {SubmitFailed}
   */
  async send(order: OrderSubmitted): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () =>
          reject(
            new MessagingError('REQUEST_TIMEOUT', `no receipt within ${this.config.SUBMIT_TIMEOUT_MS} ms`),
          ),
        this.config.SUBMIT_TIMEOUT_MS,
      );
    });
    try {
      await Promise.race([
        this.bus.send(OrderSubmitted, order, { id: messageIdOf(order.orderNo) }),
        deadline,
      ]);
    } catch (error) {
      this.shutUntilBrokerAnswers(error);
      throw new SubmitFailed(isCertainlyNotSent(error), { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  private shutUntilBrokerAnswers(cause: unknown): void {
    if (this.brokerIsAway || !(cause instanceof MessagingError) || cause.kind !== 'transient') return;
    this.brokerIsAway = true;
    this.logger.warn({ err: cause }, 'orders cannot be queued; refusing them until the broker answers');
    void this.probe();
  }

  /** Ends when the broker answers, or with the process: the pause does not keep it alive. */
  private async probe(): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, PROBE_PAUSE_MS).unref());
      try {
        await this.broker.ready(PROBE_TIMEOUT_MS);
        break;
      } catch (error) {
        // Expected for as long as the broker is away: the warning was written when it went.
        this.logger.debug({ err: error }, 'the broker is still away');
      }
    }
    this.brokerIsAway = false;
    this.logger.info('the broker is back; taking orders again');
  }
}

const messageIdOf = (orderNo: string): string => `order-submitted:${orderNo}`;

const isCertainlyNotSent = (error: unknown): boolean =>
  error instanceof MessagingError && CERTAINLY_NOT_SENT.has(error.code);
