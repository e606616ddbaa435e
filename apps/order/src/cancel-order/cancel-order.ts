import { Injectable } from '@nestjs/common';
import { OrderNo } from '#libs/contracts';
import { RedisStock } from '#libs/redis-stock';
import { ChangeOrders } from '../change-orders/change-orders.js';
import { orderNotCancellable, orderNotFound } from '../domain/errors.js';
import { OrderStore } from '../order-store/order-store.js';

/** The buyer changes their mind before paying. */
@Injectable()
export class CancelOrder {
  constructor(
    private readonly store: OrderStore,
    private readonly changeOrders: ChangeOrders,
    private readonly stock: RedisStock,
  ) {}

  /**
   * Cancelling what the buyer has cancelled before is fine: the wish is fulfilled.
   *
   * @throws {DomainError} `ORDER_NOT_FOUND`, also for another buyer's order; `ORDER_NOT_CANCELLABLE` when it
   * is paid, expired, rejected, on its way to a refund, or not written yet.
   */
  async execute(orderNo: string, buyerId: string): Promise<void> {
    if (!OrderNo.safeParse(orderNo).success) throw orderNotFound(orderNo);
    const order = (await this.store.find([orderNo])).get(orderNo);
    if (order === undefined) throw await this.notWritten(orderNo, buyerId);
    if (order.buyerId !== buyerId) throw orderNotFound(orderNo);
    const outcome = await this.changeOrders.one(orderNo, { type: 'cancelled-by-buyer' });
    if (outcome?.decision.do === 'refuse') {
      throw orderNotCancellable(orderNo, `it is ${outcome.order.status}`);
    }
  }

  /** An accepted order may still be in the queue; its message cannot be called back. */
  private async notWritten(orderNo: string, buyerId: string): Promise<Error> {
    const hold = await this.stock.hold(orderNo);
    return hold?.buyerId === buyerId && hold.state !== 'released'
      ? orderNotCancellable(orderNo, 'it is still QUEUED; try again in a moment')
      : orderNotFound(orderNo);
  }
}
