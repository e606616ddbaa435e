import type { CancelReason, OrderStatus, RefundReason } from '#libs/contracts';

/** What an order row can say; `QUEUED` orders exist in Redis and in the broker only. */
export type WrittenStatus = Exclude<OrderStatus, 'QUEUED'>;

/** All that a decision depends on. */
export type OrderState = {
  status: WrittenStatus;
  /** The payment that paid the order, or whose refund is on its way. None for an order that costs nothing. */
  paymentId: string | undefined;
  /** Set while `CANCELLED`. */
  cancelReason: CancelReason | undefined;
};

/** What can happen to a written order. */
export type OrderEvent =
  | { type: 'payment-succeeded'; paymentId: string }
  /** Answers to the `reacquire-stock` that a late payment asked for. */
  | { type: 'stock-reacquired'; paymentId: string }
  | { type: 'stock-not-reacquired'; paymentId: string; why: 'sold-out' | 'sale-over' }
  | { type: 'payment-timed-out' }
  | { type: 'cancelled-by-buyer' }
  | { type: 'stock-refused' }
  | { type: 'payment-refunded'; paymentId: string };
export type OrderEventType = OrderEvent['type'];

/** A change of status: written by one conditional update, announced by one message. */
export type OrderChange =
  | { to: 'PAID'; paymentId: string; reacquired: boolean }
  | { to: 'CANCELLED'; reason: CancelReason }
  | { to: 'REJECTED'; reason: 'ledger-refused' }
  | { to: 'REFUNDING'; paymentId: string; reason: RefundReason }
  /** `ticketsReturned`: the order was paid, and its tickets can be sold again. */
  | { to: 'REFUNDED'; paymentId: string; ticketsReturned: boolean };

/** What is to be done about an event. Anything but a change leaves the order as it is. */
export type Decision =
  | { do: 'change'; change: OrderChange }
  /** The payment came after the timeout: ask for the tickets again, then decide on the answer. */
  | { do: 'reacquire-stock' }
  /** The payment has no tickets to pay for. `giveBackStock`: tickets were taken for it in vain. */
  | { do: 'refund-payment'; reason: RefundReason; giveBackStock: boolean }
  | { do: 'give-back-stock' }
  /** What must come first is on its way. */
  | { do: 'wait' }
  /** The event has been dealt with before, or another one came first. */
  | { do: 'nothing' }
  | { do: 'refuse'; code: 'ORDER_NOT_CANCELLABLE' };

type Rule<Type extends OrderEventType> = (
  order: OrderState,
  event: Extract<OrderEvent, { type: Type }>,
) => Decision;
type Rules = { [Status in WrittenStatus]: { [Type in OrderEventType]: Rule<Type> } };

const nothing = (): Decision => ({ do: 'nothing' });
const wait = (): Decision => ({ do: 'wait' });
const notCancellable = (): Decision => ({ do: 'refuse', code: 'ORDER_NOT_CANCELLABLE' });
const change = (to: OrderChange): Decision => ({ do: 'change', change: to });
const cancel = (reason: CancelReason) => (): Decision => change({ to: 'CANCELLED', reason });

/** A second payment of an order that has one goes back; the same payment again is a replay. */
const refundSecond = (order: OrderState, event: { paymentId: string }): Decision =>
  event.paymentId === order.paymentId
    ? nothing()
    : { do: 'refund-payment', reason: 'paid-twice', giveBackStock: false };

/** The order went to its refund while tickets were being taken for it: nobody will use them. */
const giveBack = (order: OrderState, event: { paymentId: string }): Decision =>
  event.paymentId === order.paymentId
    ? { do: 'give-back-stock' }
    : { do: 'refund-payment', reason: 'paid-twice', giveBackStock: true };

/** Stock is re-acquired for orders that timed out only, and none becomes `PENDING_PAYMENT`, `REJECTED` or the buyer's own cancellation from there. */
const impossible = (order: OrderState, event: OrderEvent): never => {
  throw new Error(`${event.type} cannot happen to a ${order.status} order`);
};

const RULES: Rules = {
  PENDING_PAYMENT: {
    'payment-succeeded': (_, { paymentId }) => change({ to: 'PAID', paymentId, reacquired: false }),
    'stock-reacquired': impossible,
    'stock-not-reacquired': impossible,
    'payment-timed-out': cancel('payment-timeout'),
    'cancelled-by-buyer': cancel('buyer'),
    'stock-refused': () => change({ to: 'REJECTED', reason: 'ledger-refused' }),
    // The payment itself is about to come, and must not find an order that it can still pay.
    'payment-refunded': wait,
  },
  PAID: {
    'payment-succeeded': refundSecond,
    'stock-reacquired': refundSecond,
    'stock-not-reacquired': refundSecond,
    'payment-timed-out': nothing,
    'cancelled-by-buyer': notCancellable,
    // What cost nothing has nothing to be sent back.
    'stock-refused': (order) =>
      order.paymentId === undefined
        ? change({ to: 'REJECTED', reason: 'ledger-refused' })
        : change({ to: 'REFUNDING', paymentId: order.paymentId, reason: 'ledger-refused' }),
    // Sent back at the provider. Of a second payment: the first one still pays for the tickets.
    'payment-refunded': (order, { paymentId }) =>
      paymentId === order.paymentId
        ? change({ to: 'REFUNDED', paymentId, ticketsReturned: true })
        : nothing(),
  },
  CANCELLED: {
    // Who timed out and pays late still wants the tickets; who cancelled has said that they do not.
    'payment-succeeded': (order, { paymentId }) =>
      order.cancelReason === 'buyer'
        ? change({ to: 'REFUNDING', paymentId, reason: 'cancelled-by-buyer' })
        : { do: 'reacquire-stock' },
    'stock-reacquired': (order, event) =>
      order.cancelReason === 'buyer'
        ? impossible(order, event)
        : change({ to: 'PAID', paymentId: event.paymentId, reacquired: true }),
    'stock-not-reacquired': (order, event) =>
      order.cancelReason === 'buyer'
        ? impossible(order, event)
        : change({ to: 'REFUNDING', paymentId: event.paymentId, reason: event.why }),
    'payment-timed-out': nothing,
    'cancelled-by-buyer': (order) => (order.cancelReason === 'buyer' ? nothing() : notCancellable()),
    'stock-refused': nothing,
    'payment-refunded': wait,
  },
  REFUNDING: {
    'payment-succeeded': refundSecond,
    'stock-reacquired': giveBack,
    'stock-not-reacquired': refundSecond,
    'payment-timed-out': nothing,
    'cancelled-by-buyer': notCancellable,
    'stock-refused': nothing,
    'payment-refunded': (order, { paymentId }) =>
      paymentId === order.paymentId
        ? change({ to: 'REFUNDED', paymentId, ticketsReturned: false })
        : nothing(),
  },
  REFUNDED: {
    'payment-succeeded': refundSecond,
    'stock-reacquired': giveBack,
    'stock-not-reacquired': refundSecond,
    'payment-timed-out': nothing,
    'cancelled-by-buyer': notCancellable,
    'stock-refused': nothing,
    'payment-refunded': nothing,
  },
  REJECTED: {
    'payment-succeeded': () => ({
      do: 'refund-payment',
      reason: 'order-rejected',
      giveBackStock: false,
    }),
    'stock-reacquired': impossible,
    'stock-not-reacquired': impossible,
    'payment-timed-out': nothing,
    'cancelled-by-buyer': notCancellable,
    'stock-refused': nothing,
    'payment-refunded': nothing,
  },
};

/**
 * The state machine: what an event means for an order in its present state. Pure, so that a lost
 * race is answered by reading the order again and deciding again.
 *
 * @throws when the pair cannot occur: an invariant is broken, and hiding that would lose money or tickets.
 */
export function decide(order: OrderState, event: OrderEvent): Decision {
  // The table is exhaustive over both names; the pairing of a rule with its own event type cannot be
  // expressed in an index access, hence the cast.
  const rule = RULES[order.status][event.type] as Rule<OrderEventType>;
  return rule(order, event);
}
