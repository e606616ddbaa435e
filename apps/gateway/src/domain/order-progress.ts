import type { OrderStatus } from '#libs/contracts';

/** One step of an order as the event stream tells it. */
export type StatusChange = { orderNo: string; status: OrderStatus; at: string };

/** How far along each status is. Two of one rank exclude each other: an order is paid or cancelled first. */
const RANK: Readonly<Record<OrderStatus, number>> = {
  QUEUED: 0,
  PENDING_PAYMENT: 1,
  PAID: 2,
  CANCELLED: 2,
  REJECTED: 2,
  REFUNDING: 3,
  REFUNDED: 4,
};

/**
 * Whether `next` is news after `last`. The stream's first status is read from the order service while
 * messages already arrive, and messages may come twice, so what is not further along is not news.
 */
export function isProgress(last: OrderStatus, next: OrderStatus): boolean {
  return RANK[next] > RANK[last];
}

/**
 * Whether a stream ends with this status. A late payment may still take a cancelled order further;
 * a buyer who pays that late asks again.
 */
export function endsStream(status: OrderStatus): boolean {
  return RANK[status] >= RANK.PAID && status !== 'REFUNDING';
}
