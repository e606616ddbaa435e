import { isAccepted, isLive, keepsTickets, type Facts } from './facts.js';
import type { OrderRow } from './history.js';
import type { Report } from './violation.js';

/** What may follow each state; an order that is written begins with QUEUED and one of those after it. */
const NEXT: Readonly<Record<string, readonly string[]>> = {
  QUEUED: ['PENDING_PAYMENT', 'REJECTED'],
  PENDING_PAYMENT: ['PAID', 'CANCELLED', 'REJECTED'],
  CANCELLED: ['PAID', 'REFUNDING'],
  PAID: ['REFUNDING'],
  REFUNDING: ['REFUNDED'],
  REFUNDED: [],
  REJECTED: [],
};
/** Where an order may be left once nothing moves. Past its `payBefore` it does not wait for a payment either. */
const RESTING = new Set(['PAID', 'CANCELLED', 'REFUNDED', 'REJECTED']);
/** What a buyer who was refused may still find: an order that was never alive. */
const NEVER_ALIVE = new Set(['REJECTED', 'CANCELLED']);

/** Each answer to a request to buy, against the order that came of it. */
export function checkOrders(facts: Facts, report: Report): void {
  for (const attempt of facts.attempts) {
    const { buyer, key, orderNos, calls } = attempt;
    const name = `${buyer} under ${key}`;
    if (orderNos.size > 1) report('second-order', `${name}: ${[...orderNos].join(', ')}`);
    for (const orderNo of orderNos) {
      const order = facts.orders.get(orderNo);
      if (order === undefined) report('lost-order', `${orderNo}: ${name} was told 202`);
      else if (order.status === 'REJECTED') report('taken-back', `${orderNo}: ${name} was told 202`);
      else if (order.buyer !== buyer)
        report('phantom-order', `${orderNo} of ${order.buyer}: told to ${buyer}`);
    }
    const last = calls.at(-1);
    if (last !== undefined && isAccepted(last) && last.orderNo === undefined)
      report('wrong-answer', `${name}: 202 without an order number`);
  }
  for (const order of facts.orders.values()) checkWay(order, report);
  for (const [buyer, orders] of facts.ordersOf) checkAsked(facts, buyer, orders, report);
}

function checkWay({ orderNo, status, history }: OrderRow, report: Report): void {
  const states = history.map((entry) => entry.status);
  const way = `${orderNo}: ${states.join(' → ')}`;
  if (states[0] !== 'QUEUED' || states.at(-1) !== status)
    report('impossible-history', `${way}, but it is ${status}`);
  else if (states.some((state, index) => index > 0 && !NEXT[states[index - 1] ?? '']?.includes(state)))
    report('impossible-history', way);
  else if (!RESTING.has(status)) report('impossible-history', `${way}, and there it stays`);
}

/**
 * A buyer's orders were asked for: each that no answer named belongs to a key that has none yet and of which at
 * least one outcome is unclear. A buyer who was refused under every key has no order that lived.
 */
function checkAsked(facts: Facts, buyer: string, orders: readonly OrderRow[], report: Report): void {
  const attempts = facts.attempts.filter((attempt) => attempt.buyer === buyer);
  const named = new Set(attempts.flatMap(({ orderNos }) => [...orderNos]));
  const unnamed = orders.filter(({ orderNo }) => !named.has(orderNo));
  const lived = unnamed.filter(({ status }) => attempts.length === 0 || !NEVER_ALIVE.has(status));
  const unclear = attempts.filter(({ orderNos, isRefused }) => orderNos.size === 0 && !isRefused);
  if (
    attempts.length > 0 &&
    unnamed.length > attempts.length - attempts.filter(({ orderNos }) => orderNos.size > 0).length
  )
    report('second-order', `${buyer}: ${attempts.length} keys, ${orders.length} orders`);
  if (lived.length > unclear.length)
    for (const { orderNo, status } of lived.slice(unclear.length))
      report('phantom-order', `${orderNo} of ${buyer}: ${status}, refused or never asked for`);
}

/** What buyers saw of their orders: each answer tells at least what the one before did. */
export function checkReads(facts: Facts, report: Report): void {
  for (const [orderNo, reads] of facts.reads) {
    let told: readonly string[] = [];
    let toldAtMs = -Infinity;
    for (const { answer, history, askedAtMs, answeredAtMs } of reads) {
      if (answer.status === 404) report('forgotten', `${orderNo}: 404 after ${told.at(-1) ?? 'its 202'}`);
      if (answer.status !== 200 || history === undefined) continue;
      // Two that were asked at the same time may be answered in any order.
      if (askedAtMs < toldAtMs) continue;
      if (told.some((status, index) => history[index] !== status))
        report('went-back', `${orderNo}: ${told.join(' → ')}, then ${history.join(' → ')}`);
      [told, toldAtMs] = [history, answeredAtMs];
    }
    const order = facts.orders.get(orderNo);
    const written = order?.history.map(({ status }) => status) ?? [];
    if (order !== undefined && told.some((status, index) => written[index] !== status))
      report('went-back', `${orderNo}: told ${told.join(' → ')}, written ${written.join(' → ')}`);
  }
}

/** A cancellation that was taken stays, whatever comes after it: a payment goes back. */
export function checkCancels({ cancels, orders }: Facts, report: Report): void {
  const told = new Set(cancels.filter(isAccepted).map(({ orderNo }) => orderNo));
  for (const orderNo of told) {
    const order = orders.get(orderNo);
    if (order !== undefined && isLive(order))
      report('cancel-undone', `${orderNo}: told 202, is ${order.status}`);
  }
}

/** Tickets in buyers' hands and tickets that Redis keeps from others. */
export function checkTickets({ books, orders, holds }: Facts, report: Report): void {
  const types = new Map(books.ticketTypes.map((type) => [type.ticketTypeId, type]));
  const sold = new Map<string, number>();
  const had = new Map<string, number>();
  for (const order of orders.values()) {
    if (!isLive(order)) continue;
    const { ticketTypeId, buyer, quantity } = order;
    sold.set(ticketTypeId, (sold.get(ticketTypeId) ?? 0) + quantity);
    const whose = `${buyer} of ${ticketTypeId}`;
    had.set(whose, (had.get(whose) ?? 0) + quantity);
  }
  for (const [ticketTypeId, count] of sold) {
    const quantity = types.get(ticketTypeId)?.quantity ?? 0;
    if (count > quantity) report('oversold', `${ticketTypeId}: ${count} of ${quantity}`);
  }
  for (const [whose, count] of had) {
    const limit = types.get(whose.slice(whose.lastIndexOf(' ') + 1))?.perUserLimit ?? Infinity;
    if (count > limit) report('over-limit', `${whose}: ${count} of ${limit}`);
  }
  for (const hold of holds.values()) {
    if (!keepsTickets(hold)) continue;
    const order = orders.get(hold.orderNo);
    if (order === undefined || !isLive(order))
      report('stray-hold', `${hold.orderNo}: ${hold.state}, the order is ${order?.status ?? 'not there'}`);
  }
}
