import type { Books, BuyerEvent, EventOf, HoldRow, IntentRow, OrderRow, SaleHistory } from './history.js';

/** What one buyer did under one key. */
export type Attempt = {
  buyer: string;
  key: string;
  ticketTypeId: string;
  /** In the order in which they were asked. */
  calls: EventOf<'order'>[];
  /** Order numbers that answers named. */
  orderNos: Set<string>;
  /** Whether the last word was a refusal: a request that has its order is never refused. */
  isRefused: boolean;
};

/** A history by subject. */
export type Facts = {
  books: Books;
  attempts: Attempt[];
  /** By order number, in the order in which they were asked. */
  reads: Map<string, EventOf<'read'>[]>;
  checkouts: EventOf<'checkout'>[];
  cancels: EventOf<'cancel'>[];
  orders: Map<string, OrderRow>;
  /** By buyer. */
  ordersOf: Map<string, OrderRow[]>;
  intents: Map<string, IntentRow>;
  intentsOf: Map<string, IntentRow[]>;
  holds: Map<string, HoldRow>;
};

/** Told 202: the shop has given its word. */
export const isAccepted = ({ answer }: BuyerEvent): boolean => answer.status === 202;
/** A no that is meant: the same request again may only be answered otherwise once something has changed. */
export const isRefusal = ({ answer: { status } }: BuyerEvent): boolean =>
  status >= 400 && status < 500 && status !== 429;

/** States in which an order holds tickets. */
const LIVE = new Set(['PENDING_PAYMENT', 'PAID']);
export const isLive = ({ status }: OrderRow): boolean => LIVE.has(status);
/** States in which a hold keeps tickets from others. */
export const keepsTickets = ({ state }: HoldRow): boolean => state !== 'released';

export function collectFacts({ events, books }: SaleHistory): Facts {
  const ordered = [...events].sort((one, other) => one.askedAtMs - other.askedAtMs);
  const attempts = new Map<string, Attempt>();
  const reads = new Map<string, EventOf<'read'>[]>();
  const checkouts: EventOf<'checkout'>[] = [];
  const cancels: EventOf<'cancel'>[] = [];
  for (const event of ordered) {
    if (event.kind === 'order') addCall(attempts, event);
    else if (event.kind === 'read') pushTo(reads, event.orderNo, event);
    else if (event.kind === 'checkout') checkouts.push(event);
    else if (event.kind === 'cancel') cancels.push(event);
  }
  const { orders, intents, holds } = books;
  return {
    books,
    attempts: [...attempts.values()],
    reads,
    checkouts,
    cancels,
    orders: new Map(orders.map((order) => [order.orderNo, order])),
    ordersOf: groupedBy(orders, ({ buyer }) => buyer),
    intents: new Map(intents.map((intent) => [intent.paymentId, intent])),
    intentsOf: groupedBy(intents, ({ orderNo }) => orderNo),
    holds: new Map(holds.map((hold) => [hold.orderNo, hold])),
  };
}

function addCall(attempts: Map<string, Attempt>, call: EventOf<'order'>): void {
  const { buyer, key, ticketTypeId, orderNo } = call;
  const name = `${buyer} ${key}`;
  const attempt = attempts.get(name) ?? {
    buyer,
    key,
    ticketTypeId,
    calls: [],
    orderNos: new Set<string>(),
    isRefused: true,
  };
  attempts.set(name, attempt);
  attempt.calls.push(call);
  attempt.isRefused = isRefusal(call);
  if (isAccepted(call) && orderNo !== undefined) attempt.orderNos.add(orderNo);
}

function groupedBy<Row>(rows: readonly Row[], keyOf: (row: Row) => string): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) pushTo(groups, keyOf(row), row);
  return groups;
}

function pushTo<Item>(groups: Map<string, Item[]>, key: string, item: Item): void {
  const group = groups.get(key);
  if (group === undefined) groups.set(key, [item]);
  else group.push(item);
}
