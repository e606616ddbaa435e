import { Inject, Injectable } from '@nestjs/common';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { TicketTypeId, type PlaceOrderResponse } from '#libs/contracts';
import { CLOCK, HttpProblem, LOGGER, REDIS, type Clock } from '#libs/service-kit';
import { orderNoFor, StockLedger, type ReserveAnswer } from '#libs/stock-ledger';
import { BrokerGate } from '../broker-gate/broker-gate.js';
import {
  holdExpired,
  overloaded,
  serviceUnavailable,
  stockUnreachable,
  ticketTypeNotFound,
} from '../domain/errors.js';
import { decidePlacing } from '../domain/placing.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';
import type { Caller } from '../upstream/call.js';
import { OrderService } from '../upstream/order-service.js';
import { SubmitFailed, SubmitOrder } from './submit-order.js';

/** As long as a released hold is remembered: a key must not outlive the answer it stands for, nor be outlived by it. */
const KEY_TTL_SECONDS = 86_400;

type Granted = Extract<ReserveAnswer, { outcome: 'reserved' | 'replayed' }>;

/** A buyer's request. All of it goes into the order number, so the same request is always the same order (ADR 4). */
export type OrderRequest = {
  buyerId: string;
  idempotencyKey: string;
  ticketTypeId: string;
  quantity: number;
};

/** Takes the tickets and queues the order: one round trip to Redis, one to the broker. */
@Injectable()
export class PlaceOrder {
  constructor(
    @Inject(REDIS) private readonly redis: Redis,
    private readonly ledger: StockLedger,
    private readonly gate: BrokerGate,
    private readonly submission: SubmitOrder,
    private readonly orders: OrderService,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /**
   * @throws {DomainError} with the codes of `domain/placing.ts`, `OVERLOADED` or `SERVICE_UNAVAILABLE`
   * @throws {HttpProblem} 422 `IDEMPOTENCY_KEY_REUSED`
   */
  async execute(request: OrderRequest, caller: Caller): Promise<PlaceOrderResponse> {
    const { ticketTypeId } = request;
    if (!TicketTypeId.safeParse(ticketTypeId).success) throw ticketTypeNotFound(ticketTypeId);
    return this.gate.pass(() => this.place(request, caller));
  }

  private async place(request: OrderRequest, caller: Caller): Promise<PlaceOrderResponse> {
    const { ticketTypeId } = request;
    const orderNo = orderNoFor(request);
    const { firstOrderNo, reservation } = await this.reserve(orderNo, request);
    // What the decision needs of it; the position and the price are the answer's business.
    const decision = decidePlacing({ orderNo, ticketTypeId, firstOrderNo, reservation });
    switch (decision.action) {
      case 'submit':
        return this.submit(orderNo, request, granted(reservation));
      case 'answer':
        return queued(orderNo, granted(reservation));
      case 'ask-order-service':
        if ((await this.orders.find(orderNo, caller)) === undefined) throw holdExpired();
        return queued(orderNo, granted(reservation));
      case 'refuse':
        throw decision.error;
      case 'refuse-key-reuse':
        if (decision.releaseHold) await this.releaseHold(ticketTypeId, orderNo, 'abandoned');
        throw new HttpProblem(
          422,
          'IDEMPOTENCY_KEY_REUSED',
          'This Idempotency-Key was used for another order. Use a new key for every order.',
        );
    }
  }

  /**
   * Both commands leave in one write and are answered in order. The key is bound even when the stock
   * is refused: the same request may be repeated until tickets come back, another one may not.
   */
  private async reserve(
    orderNo: string,
    { buyerId, idempotencyKey, ticketTypeId, quantity }: OrderRequest,
  ): Promise<{ firstOrderNo: string | null; reservation: ReserveAnswer }> {
    const [key, reservation] = await Promise.allSettled([
      this.redis.set(
        `idem:{${encodeURIComponent(buyerId)}}:${idempotencyKey}`,
        orderNo,
        'EX',
        KEY_TTL_SECONDS,
        'NX',
        'GET',
      ),
      this.ledger.reserve({
        orderNo,
        ticketTypeId,
        buyerId,
        quantity,
        nowMs: this.clock.now(),
        holdTimeoutMs: this.config.HOLD_TIMEOUT_MS,
      }),
    ]);
    // If the script ran and only its answer was lost, the repeat finds the hold.
    if (reservation.status === 'rejected') throw stockUnreachable(reservation.reason);
    if (key.status === 'rejected') {
      // Refused, or unknown: the buyer is told that nothing is reserved for sure, so no tickets stay behind.
      if (reservation.value.outcome === 'reserved')
        await this.releaseHold(ticketTypeId, orderNo, 'unclaimed');
      throw stockUnreachable(key.reason);
    }
    return { firstOrderNo: key.value, reservation: reservation.value };
  }

  private async submit(
    orderNo: string,
    request: OrderRequest,
    reservation: Granted,
  ): Promise<PlaceOrderResponse> {
    const { buyerId, ticketTypeId, quantity } = request;
    try {
      await this.submission.send({
        orderNo,
        buyerId,
        ticketTypeId,
        quantity,
        totalMinor: reservation.unitPriceMinor * quantity,
        currency: reservation.currency,
        submittedAt: new Date(this.clock.now()).toISOString(),
      });
    } catch (error) {
      if (!(error instanceof SubmitFailed)) throw error;
      // An unclear outcome leaves the hold: if the message is in the queue the order will be written,
      // if not the buyer's repeat sends it again, and if no repeat comes the reaper takes the hold.
      if (error.certainlyNotSent && reservation.outcome === 'reserved')
        await this.releaseHold(ticketTypeId, orderNo, 'unclaimed');
      const refusal = error.certainlyNotSent ? overloaded : serviceUnavailable;
      throw refusal('The order could not be queued. Ask again with the same Idempotency-Key.', error);
    }
    return queued(orderNo, reservation);
  }

  private async releaseHold(
    ticketTypeId: string,
    orderNo: string,
    cause: 'unclaimed' | 'abandoned',
  ): Promise<void> {
    try {
      await this.ledger.release(ticketTypeId, [orderNo], cause, this.clock.now());
    } catch (error) {
      // The reaper will release it; the buyer's answer is the same.
      this.logger.warn({ err: error, orderNo }, 'a hold that nobody needs could not be released');
    }
  }
}

function granted(reservation: ReserveAnswer): Granted {
  if (reservation.outcome === 'reserved' || reservation.outcome === 'replayed') return reservation;
  throw new Error(`a reservation was refused as ${reservation.outcome} and yet accepted`);
}

const queued = (orderNo: string, { position }: Granted): PlaceOrderResponse => ({
  orderNo,
  status: 'QUEUED',
  queuePosition: position,
});
