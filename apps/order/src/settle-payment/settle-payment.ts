import { Inject, Injectable } from '@nestjs/common';
import { RefundRequested, type PaymentSucceeded, type RefundReason } from '#libs/contracts';
import { DomainError, MessageBus } from '#libs/messaging';
import { CLOCK, type Clock } from '#libs/service-kit';
import { RedisStock } from '#libs/redis-stock';
import { announcementAgain } from '../change-orders/announcement.js';
import { ChangeOrders, type Outcome } from '../change-orders/change-orders.js';
import { orderNotFound } from '../domain/errors.js';
import type { Order } from '../domain/order.js';

/**
 * Finds out what captured money pays for. Every payment ends as the order's payment or as a refund:
 * the order waits → paid; it timed out meanwhile → its tickets are taken again, or the money goes back; its
 * buyer cancelled it, it has another payment, or it never got tickets → the money goes back.
 */
@Injectable()
export class SettlePayment {
  constructor(
    private readonly changeOrders: ChangeOrders,
    private readonly stock: RedisStock,
    private readonly bus: MessageBus,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** @throws after all others have been settled, when one could not be. */
  async execute(payments: readonly PaymentSucceeded[]): Promise<void> {
    const outcomes = await this.changeOrders.execute(
      payments.map(({ orderNo, paymentId }) => ({
        orderNo,
        event: { type: 'payment-succeeded', paymentId },
      })),
    );
    const failures: unknown[] = [];
    for (const [index, payment] of payments.entries()) {
      try {
        await this.follow(payment, outcomes[index]);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  private async follow(payment: PaymentSucceeded, outcome: Outcome): Promise<void> {
    if (outcome === undefined) throw orderNotFound(payment.orderNo);
    const { order, decision } = outcome;
    switch (decision.do) {
      case 'reacquire-stock':
        return this.follow(payment, await this.settleLate(payment));
      case 'refund-payment':
        if (decision.giveBackStock) await this.giveBack(order);
        return this.refund(payment, decision.reason);
      case 'give-back-stock':
        return this.giveBack(order);
      case 'nothing':
        return payment.unanswered === true ? this.answerAgain(payment, order) : undefined;
      case 'change':
        return;
      case 'wait':
      case 'refuse':
        throw new Error(`a payment of ${order.orderNo} was answered with ${decision.do}`);
    }
  }

  /**
   * The answer is kept in Redis with the hold, so a repeat after a crash takes the tickets only once. Paid in time and
   * told late is in time.
   */
  private async settleLate({ orderNo, paymentId, ...paid }: PaymentSucceeded): Promise<Outcome> {
    const answer = await this.stock.reacquire({
      orderNo,
      paidAtMs: Date.parse(paid.capturedAt ?? paid.succeededAt),
    });
    switch (answer) {
      case 'reacquired':
        return this.changeOrders.one(orderNo, { type: 'stock-reacquired', paymentId });
      case 'not-enough':
      case 'gone':
        return this.changeOrders.one(orderNo, { type: 'stock-not-reacquired', paymentId, why: 'sold-out' });
      case 'sale-over':
        return this.changeOrders.one(orderNo, { type: 'stock-not-reacquired', paymentId, why: 'sale-over' });
      case 'not-released-yet':
        throw new DomainError(
          'STOCK_NOT_RELEASED',
          'transient',
          `The tickets of ${orderNo} are on their way back; the late payment waits for them.`,
          200,
        );
    }
  }

  /** What the order said of this payment has not arrived: the very same message once more. */
  private async answerAgain({ paymentId }: PaymentSucceeded, order: Order): Promise<void> {
    if (order.paymentId !== paymentId) return;
    const message = announcementAgain(order);
    if (message !== undefined) await this.bus.sendBatch([message]);
  }

  /** `refused` is the cause that ends a re-acquired hold; a mere rollback must not. */
  private async giveBack(order: Order): Promise<void> {
    await this.stock.release(order.ticketTypeId, [order], 'refused');
  }

  /** No transaction: nothing is written beside it, and the payment service refunds a payment once however often it is asked. */
  private async refund(payment: PaymentSucceeded, reason: RefundReason): Promise<void> {
    const { paymentId, orderNo, amountMinor, currency } = payment;
    await this.bus.send(RefundRequested, {
      paymentId,
      orderNo,
      amountMinor,
      currency,
      reason,
      requestedAt: new Date(this.clock.now()).toISOString(),
    });
  }
}
