import { Inject, Injectable } from '@nestjs/common';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { TicketTypeId, ticketTypeOf, type PlaceOrderResponse } from '#libs/contracts';
import { CLOCK, HttpProblem, LOGGER, REDIS, type Clock } from '#libs/service-kit';
import {
  orderNoFor,
  otherOrderNosFor,
  SAME_REQUEST_MS,
  RedisStock,
  type OrderRequest,
  type ReserveAnswer,
} from '#libs/redis-stock';
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

type Granted = Extract<ReserveAnswer, { outcome: 'reserved' | 'replayed' }>;

/** Takes the tickets and queues the order: one round trip to Redis, one to the broker. */
@Injectable()
export class PlaceOrder {
  constructor(
    @Inject(REDIS) private readonly redis: Redis,
    private readonly stock: RedisStock,
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
    const { isKeyReused, reservation } = await this.reserve(request);
    const decision = decidePlacing({ ticketTypeId, isKeyReused, reservation });
    switch (decision.action) {
      case 'submit':
        return this.submit(request, granted(reservation));
      case 'answer':
        return queued(granted(reservation));
      case 'ask-order-service':
        if ((await this.orders.find(granted(reservation).orderNo, caller)) === undefined) throw holdExpired();
        return queued(granted(reservation));
      case 'refuse':
        throw decision.error;
      case 'refuse-key-reuse':
        if (decision.releaseHold) await this.releaseHold(granted(reservation), 'abandoned');
        throw new HttpProblem(
          422,
          'IDEMPOTENCY_KEY_REUSED',
          'This Idempotency-Key was used for another order. Use a new key for every order.',
        );
    }
  }

  /**
   * Both commands leave in one write. The key is bound only when tickets were taken, in a second round trip: refusals, which
   * a sale has most of, leave nothing behind.
   */
  private async reserve(
    request: OrderRequest,
  ): Promise<{ isKeyReused: boolean; reservation: ReserveAnswer }> {
    const { buyerId, idempotencyKey, ticketTypeId, quantity } = request;
    const nowMs = this.clock.now();
    const numbers = { orderNo: orderNoFor(request, nowMs), otherOrderNos: otherOrderNosFor(request, nowMs) };
    // A hold must not expire before its message is certainly stored or refused: the reaper goes by that (ADR 19).
    const holdTimeoutMs = Math.max(this.config.HOLD_TIMEOUT_MS, 2 * this.config.SUBMIT_TIMEOUT_MS);
    const key = `idem:{${encodeURIComponent(buyerId)}}:${idempotencyKey}`;
    const [bound, reserved] = await Promise.allSettled([
      this.redis.get(key),
      this.stock.reserve({ ...numbers, ticketTypeId, buyerId, quantity, holdTimeoutMs }),
    ]);
    // If the script ran and only its answer was lost, the repeat finds the hold.
    if (reserved.status === 'rejected') throw stockUnreachable(reserved.reason);
    const reservation = reserved.value;
    try {
      if (bound.status === 'rejected') throw bound.reason;
      const owner =
        bound.value ?? (isGranted(reservation) ? await this.bind(key, reservation.orderNo) : null);
      const isKeyReused =
        owner !== null && owner !== numbers.orderNo && !numbers.otherOrderNos.includes(owner);
      return { isKeyReused, reservation };
    } catch (error) {
      // Refused, or unknown: the buyer is told that nothing is reserved for sure, so no tickets stay behind.
      if (reservation.outcome === 'reserved') await this.releaseHold(reservation, 'unclaimed');
      throw stockUnreachable(error);
    }
  }

  /** Returns the number that another request has bound the key to meanwhile, else null. */
  private bind(key: string, orderNo: string): Promise<string | null> {
    return this.redis.set(key, orderNo, 'PX', SAME_REQUEST_MS, 'NX', 'GET');
  }

  private async submit(request: OrderRequest, reservation: Granted): Promise<PlaceOrderResponse> {
    const { buyerId, ticketTypeId, quantity } = request;
    const { orderNo } = reservation;
    try {
      await this.submission.send({
        orderNo,
        buyerId,
        ticketTypeId,
        quantity,
        totalMinor: reservation.unitPriceMinor * quantity,
        currency: reservation.currency,
        submittedAt: new Date(this.clock.now()).toISOString(),
        saleEndsAt: new Date(reservation.saleClosesAtMs).toISOString(),
      });
    } catch (error) {
      if (!(error instanceof SubmitFailed)) throw error;
      // An unclear outcome leaves the hold: if the message is in the queue the order will be written,
      // if not the buyer's repeat sends it again, and if no repeat comes the reaper takes the hold.
      if (error.certainlyNotSent && reservation.outcome === 'reserved')
        await this.releaseHold(reservation, 'unclaimed');
      const refusal = error.certainlyNotSent ? overloaded : serviceUnavailable;
      throw refusal('The order could not be queued. Ask again with the same Idempotency-Key.', error);
    }
    return queued(reservation);
  }

  private async releaseHold({ orderNo }: Granted, cause: 'unclaimed' | 'abandoned'): Promise<void> {
    try {
      await this.stock.release(ticketTypeOf(orderNo), [orderNo], cause);
    } catch (error) {
      // The reaper will release it; the buyer's answer is the same.
      this.logger.warn({ err: error, orderNo }, 'a hold that nobody needs could not be released');
    }
  }
}

const isGranted = (reservation: ReserveAnswer): reservation is Granted =>
  reservation.outcome === 'reserved' || reservation.outcome === 'replayed';

function granted(reservation: ReserveAnswer): Granted {
  if (isGranted(reservation)) return reservation;
  throw new Error(`a reservation was refused as ${reservation.outcome} and yet accepted`);
}

const queued = ({ orderNo, position }: Granted): PlaceOrderResponse => ({
  orderNo,
  status: 'QUEUED',
  queuePosition: position,
});
