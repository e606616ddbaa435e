import type { OrderView } from '#libs/contracts';
import type { Order } from '../domain/order.js';

/** An order as its buyer sees it. `payBefore` is there while it can be paid. */
export function orderView(order: Order): OrderView {
  const { orderNo, status, ticketTypeId, quantity, totalMinor, currency, payBeforeMs, history } = order;
  return {
    orderNo,
    status,
    ticketTypeId,
    quantity,
    totalMinor,
    currency,
    ...(status === 'PENDING_PAYMENT' &&
      payBeforeMs !== undefined && { payBefore: new Date(payBeforeMs).toISOString() }),
    history: history.map((entry) => ({ status: entry.status, at: entry.at })),
  };
}
