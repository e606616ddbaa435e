import { Inject, Injectable } from '@nestjs/common';
import {
  OrderCreated,
  OrderPaid,
  OrderRejected,
  PaymentTimeout,
  paymentTimeoutTimerId,
  type OrderSubmitted,
} from '#libs/contracts';
import { envelope, MessageBus, WriteRaceLost, type Envelope } from '#libs/messaging';
import { CLOCK, type Clock, type DatabaseTransaction } from '#libs/service-kit';
import { RedisStock } from '#libs/redis-stock';
import { factsOf } from '../change-orders/announcement.js';
import { PRODUCER_GROUP } from '../change-orders/change-orders.js';
import { orderContested } from '../domain/errors.js';
import { ORDER_CONFIG, type OrderConfig } from '../order.config.js';
import { OrderStore, type NewOrder } from '../order-store/order-store.js';

/** A lost race leaves fewer orders to write; this many in a row do not happen by chance. */
const MAX_ROUNDS = 5;

/**
 * Turns accepted orders into written ones. For those that nobody has written yet: claim the hold, so
 * that the reaper can no longer release it, then write order and messages as one.
 *
 * Repeating it at any point is harmless. A claim is the caller's for good; an order that is written is
 * left out; its messages, if the previous attempt died before the commit, are the check-back's.
 */
@Injectable()
export class PlaceOrders {
  constructor(
    private readonly store: OrderStore,
    private readonly stock: RedisStock,
    private readonly bus: MessageBus,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(ORDER_CONFIG) private readonly config: Pick<OrderConfig, 'PAYMENT_TIMEOUT_MS'>,
  ) {}

  async execute(submitted: readonly OrderSubmitted[]): Promise<void> {
    const distinct = [...new Map(submitted.map((order) => [order.orderNo, order])).values()];
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const written = await this.store.existing(distinct.map(({ orderNo }) => orderNo));
      const unwritten = distinct.filter(({ orderNo }) => !written.has(orderNo));
      if (unwritten.length === 0) return;
      const lost = await this.claimHolds(unwritten);
      if (await this.write(unwritten, lost)) return;
    }
    throw orderContested(distinct[0]?.orderNo ?? '');
  }

  /** One call per ticket type; answers with the orders whose hold is gone. */
  private async claimHolds(orders: readonly OrderSubmitted[]): Promise<Set<string>> {
    const byType = new Map<string, string[]>();
    for (const { ticketTypeId, orderNo } of orders) {
      const orderNos = byType.get(ticketTypeId);
      if (orderNos === undefined) byType.set(ticketTypeId, [orderNo]);
      else orderNos.push(orderNo);
    }
    const lost = new Set<string>();
    await Promise.all(
      [...byType].map(async ([ticketTypeId, orderNos]) => {
        const answers = await this.stock.claim(ticketTypeId, orderNos);
        orderNos.forEach((orderNo, index) => {
          if (answers[index] === 'gone') lost.add(orderNo);
        });
      }),
    );
    return lost;
  }

  /** False when somebody else wrote one of them first; none is written then. */
  private async write(submitted: readonly OrderSubmitted[], lost: ReadonlySet<string>): Promise<boolean> {
    const nowMs = this.clock.now();
    const at = new Date(nowMs).toISOString();
    const orders = submitted.map((order): NewOrder => {
      const status = statusOf(order, lost);
      const { submittedAt } = order;
      if (status !== 'PENDING_PAYMENT') return { ...factsOf(order), status, submittedAt };
      const payBeforeMs = payBeforeOf(order, nowMs + this.config.PAYMENT_TIMEOUT_MS);
      return { ...factsOf(order), status, submittedAt, payBefore: new Date(payBeforeMs).toISOString() };
    });
    try {
      await this.bus.transactional(
        PRODUCER_GROUP,
        orders.flatMap((order) => messagesOf(order, at)),
        (tx?: DatabaseTransaction) => this.store.insert(orders, at, tx),
      );
      return true;
    } catch (error) {
      if (error instanceof WriteRaceLost) return false;
      throw error;
    }
  }
}

/** What costs nothing is paid as soon as it is written: no provider, no timeout. */
function statusOf(order: OrderSubmitted, lost: ReadonlySet<string>): NewOrder['status'] {
  if (lost.has(order.orderNo)) return 'REJECTED';
  return order.totalMinor === 0 ? 'PAID' : 'PENDING_PAYMENT';
}

/** Whoever has not paid when the sale ends, as it does when the session begins, is late: see `SettlePayment`. */
const payBeforeOf = ({ saleEndsAt }: OrderSubmitted, timeoutMs: number): number =>
  saleEndsAt === undefined ? timeoutMs : Math.min(timeoutMs, Date.parse(saleEndsAt));

/** The timeout travels with the order: there is no written order without its timer, and no timer without an order. */
function messagesOf(order: NewOrder, at: string): Envelope[] {
  const { orderNo, payBefore } = order;
  if (order.status === 'REJECTED') {
    return [envelope(OrderRejected, { ...factsOf(order), reason: 'hold-lost', rejectedAt: at })];
  }
  if (payBefore === undefined) {
    return [envelope(OrderPaid, { ...factsOf(order), paidAt: at, reacquired: false })];
  }
  return [
    envelope(OrderCreated, {
      ...factsOf(order),
      createdAt: at,
      payBefore,
    }),
    envelope(
      PaymentTimeout,
      { orderNo },
      { deliverAtMs: Date.parse(payBefore), timerId: paymentTimeoutTimerId(orderNo) },
    ),
  ];
}
