/** An order as `GET /api/orders/:orderNo` tells it; the part that the load looks at. */
export type OrderSeen = { status: string; history: { status: string; at: string }[] };

/** What became of an accepted order, as far as its buyer knows. */
export type AcceptedOrder = {
  orderNo: string;
  buyerId: string;
  dueAtMs: number;
  /** Paid at the checkout, which took the money. */
  checkedOut: boolean;
  /** Last seen; undefined when the shop never told. */
  seen: OrderSeen | undefined;
};

/** States in which an order may be left alone. QUEUED and REFUNDING are on the way to another. */
const RESTING = new Set(['PENDING_PAYMENT', 'PAID', 'CANCELLED', 'REFUNDED', 'REJECTED']);
/** Where money that was taken may end. */
const AFTER_CHECKOUT = new Set(['PAID', 'REFUNDED']);

/** Why an accepted order cannot be left as it is; undefined when it can. */
export function flawOf({ orderNo, checkedOut, seen }: AcceptedOrder): string | undefined {
  if (seen === undefined) return `${orderNo}: accepted, but unknown to the shop`;
  if (!RESTING.has(seen.status)) return `${orderNo}: still ${seen.status}`;
  if (checkedOut && !AFTER_CHECKOUT.has(seen.status)) return `${orderNo}: checked out, but ${seen.status}`;
  return undefined;
}
