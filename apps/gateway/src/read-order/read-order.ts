import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { OrderNo, type OrderView } from '#libs/contracts';
import { LOGGER } from '#libs/service-kit';
import { RedisStock, type HoldView } from '#libs/redis-stock';
import { orderNotFound, serviceUnavailable } from '../domain/errors.js';
import type { Caller } from '../upstream/call.js';
import { OrderService } from '../upstream/order-service.js';

/**
 * An order as its buyer sees it, from the moment it was accepted. While it waits in the queue it
 * exists only as a hold in Redis; that is asked first, so that thousands of waiting buyers who look
 * again and again never reach the order service.
 */
@Injectable()
export class ReadOrder {
  constructor(
    private readonly stock: RedisStock,
    private readonly orders: OrderService,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /**
   * @throws {DomainError} `ORDER_NOT_FOUND`, also for another buyer's order; `SERVICE_UNAVAILABLE`
   */
  async execute(orderNo: string, buyerId: string, caller: Caller): Promise<OrderView> {
    if (!OrderNo.safeParse(orderNo).success) throw orderNotFound(orderNo);
    const hold = await this.holdOf(orderNo);
    if (hold !== 'unknown' && hold !== undefined && hold.buyerId !== buyerId) throw orderNotFound(orderNo);
    if (hold !== 'unknown' && hold?.state === 'held') return queuedView(hold);
    const order = await this.orders.find(orderNo, caller);
    if (order !== undefined) return order;
    if (hold === undefined) throw orderNotFound(orderNo);
    if (hold === 'unknown')
      throw serviceUnavailable('Whether the order is still queued cannot be seen right now.');
    // Claimed and about to be written, or given back while its message is still in the queue. Either
    // way the order service has not spoken yet, and will.
    return queuedView(hold);
  }

  /** `unknown`: Redis is away. An order that is written can be read all the same. */
  private async holdOf(orderNo: string): Promise<HoldView | undefined | 'unknown'> {
    try {
      return await this.stock.hold(orderNo);
    } catch (error) {
      this.logger.debug({ err: error, orderNo }, 'the hold cannot be read');
      return 'unknown';
    }
  }
}

function queuedView(hold: HoldView): OrderView {
  return {
    orderNo: hold.orderNo,
    status: 'QUEUED',
    ticketTypeId: hold.ticketTypeId,
    quantity: hold.quantity,
    totalMinor: hold.unitPriceMinor * hold.quantity,
    currency: hold.currency,
    queuePosition: hold.position,
    history: [{ status: 'QUEUED', at: new Date(hold.heldAtMs).toISOString() }],
  };
}
