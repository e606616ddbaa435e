import type { Verdict } from '#libs/contracts';
import type { Findings, TicketTypeFacts, VerdictSnapshot } from './snapshot.js';

type Check = Verdict['checks'][number];

/** The table of the design, row by row. Every check runs, so that one failure does not hide another. */
export function verdictOn(snapshot: VerdictSnapshot): Verdict {
  const checks = [
    noOversell(snapshot),
    conservation(snapshot),
    noUndersell(snapshot),
    noLostOrder(snapshot),
    moneyEqualsTickets(snapshot),
    effectsOnce(snapshot),
    quiet(snapshot),
  ];
  return { ok: checks.every(({ ok }) => ok), checks };
}

/** No book says that more tickets are sold than there are. */
function noOversell({ ticketTypes }: VerdictSnapshot): Check {
  const broken = ticketTypes.flatMap((type) => {
    const books = {
      ledger: type.ledgerSold,
      'ledger rows': type.ledgerMovements,
      orders: type.ordered,
      Redis: type.redis?.sold ?? 0,
    };
    return Object.entries(books)
      .filter(([, sold]) => sold > type.quantity)
      .map(([book, sold]) => `${type.ticketTypeId}: ${book} sold ${sold} of ${type.quantity}`);
  });
  return check('no-oversell', broken, () => {
    const sold = sum(ticketTypes.map((type) => type.ledgerSold));
    return `${sold} of ${sum(ticketTypes.map((type) => type.quantity))} tickets sold, ${ticketTypes.length} ticket types`;
  });
}

/** Every ticket is in exactly one place, and the three books say the same place. */
function conservation({ ticketTypes }: VerdictSnapshot): Check {
  const broken = ticketTypes.flatMap((type) => conservationBreaches(type));
  return check('conservation', broken, () => {
    const total = (part: 'free' | 'held' | 'sold') => sum(ticketTypes.map((type) => type.redis?.[part] ?? 0));
    return `${total('free')} free + ${total('held')} held + ${total('sold')} sold in Redis, the same in the ledger`;
  });
}

function conservationBreaches(type: TicketTypeFacts): string[] {
  const { ticketTypeId: id, quantity, ledgerSold, redis } = type;
  if (redis === undefined) return [`${id}: not in Redis`];
  const breaches: string[] = [];
  if (redis.initial !== quantity)
    breaches.push(`${id}: Redis started with ${redis.initial}, not ${quantity}`);
  if (
    Math.min(redis.free, redis.held, redis.sold) < 0 ||
    redis.free + redis.held + redis.sold !== redis.initial
  ) {
    breaches.push(
      `${id}: Redis has ${redis.free} free + ${redis.held} held + ${redis.sold} sold of ${redis.initial}`,
    );
  }
  if (redis.holds !== undefined && (redis.holds.held !== redis.held || redis.holds.sold !== redis.sold)) {
    const { held, sold } = redis.holds;
    breaches.push(`${id}: Redis counts ${redis.held} held + ${redis.sold} sold, its holds ${held} + ${sold}`);
  }
  if (ledgerSold < 0 || ledgerSold !== type.ledgerMovements) {
    breaches.push(`${id}: ledger sold ${ledgerSold}, its rows add up to ${type.ledgerMovements}`);
  }
  if (redis.sold !== ledgerSold) breaches.push(`${id}: Redis sold ${redis.sold}, ledger ${ledgerSold}`);
  if (type.ordered !== ledgerSold)
    breaches.push(`${id}: ledger sold ${ledgerSold}, orders hold ${type.ordered}`);
  return breaches;
}

/**
 * Nobody was turned away while a ticket was free. The shop does not know who was turned away, so the
 * caller says how many tickets were asked for. Tickets given back after the last buyer was turned
 * away may be free without anyone having missed them.
 */
function noUndersell({ ticketTypes, demand }: VerdictSnapshot): Check {
  if (demand === undefined) {
    return {
      name: 'no-undersell',
      ok: true,
      detail: 'demand unknown: pass ?demand=<ticketTypeId>:<tickets>',
    };
  }
  const type = ticketTypes.find(({ ticketTypeId }) => ticketTypeId === demand.ticketTypeId);
  if (type === undefined) {
    return { name: 'no-undersell', ok: false, detail: `${demand.ticketTypeId}: no such ticket type` };
  }
  const { ticketTypeId: id, quantity, ledgerSold: sold } = type;
  const asked = `${id}: ${demand.tickets} asked for ${quantity}, ${sold} sold`;
  if (demand.tickets < quantity) return { name: 'no-undersell', ok: true, detail: asked };
  const unsold = quantity - sold;
  const detail = `${asked}, ${demand.returnedSince} given back since`;
  return { name: 'no-undersell', ok: unsold <= demand.returnedSince, detail };
}

/** What the gateway accepted has a row, in a state that exists. */
function noLostOrder({ orders }: VerdictSnapshot): Check {
  const broken = [
    ...found(orders.missing, 'accepted without an order row'),
    ...found(orders.illegal, 'in no legal state'),
    ...found(orders.ledgerOnly, 'in the ledger without an order row'),
  ];
  if (orders.redisRebuilds === 0)
    broken.push(...found(orders.rejected, 'REJECTED though Redis lost nothing'));
  const states = Object.entries(orders.byStatus)
    .map(([status, count]) => `${count} ${status}`)
    .join(', ');
  return check(
    'no-lost-order',
    broken,
    () => `${orders.accepted} accepted in the log; rows: ${states || 'none'}`,
  );
}

/** Every captured payment bought a ticket or went back; every ticket was paid. */
function moneyEqualsTickets({ money }: VerdictSnapshot): Check {
  const broken = [
    ...found(money.unanswered, 'captured payments with neither a PAID order nor a refund'),
    ...found(money.unpaid, 'PAID orders without their captured payment'),
    ...found(money.misrefunded, 'orders whose refund and state disagree'),
  ];
  return check(
    'money-equals-tickets',
    broken,
    () => `${money.captured} captured payments, each answered for`,
  );
}

/** Every effect of an order happened, and happened once. */
function effectsOnce({ effects }: VerdictSnapshot): Check {
  const broken = [
    ...found(effects.deduct, 'PAID orders without exactly one DEDUCT'),
    ...found(effects.confirm, 'PAID orders without exactly one CONFIRM'),
    ...found(effects.rollback, 'CANCELLED orders whose tickets did not come back once'),
    ...found(effects.repeatedMovements, 'movements more than once'),
    ...found(effects.unnotified, 'PAID orders without sms, email and push sent'),
    ...found(effects.repeatedNotifications, 'notifications more than once'),
  ];
  return check(
    'effects-once',
    broken,
    () => `${effects.paidOrders} PAID orders, each deducted, confirmed and notified once per channel`,
  );
}

/** Nothing is under way any more. Dead letters are at rest: they are counted, an alert tells of them. */
function quiet({ broker }: VerdictSnapshot): Check {
  const broken = broker.lag.filter(({ lag }) => lag > 0).map(({ group, lag }) => `${group} lags by ${lag}`);
  if (broker.pastDueTimers > 0) broken.push(`${broker.pastDueTimers} timers past due`);
  if (broker.undecidedTransactions > 0)
    broken.push(`${broker.undecidedTransactions} half messages undecided`);
  if (broker.parkedTransactions > 0) broken.push(`${broker.parkedTransactions} half messages parked`);
  const dead = broker.deadLetters.filter(({ count }) => count > 0);
  return check('quiet', broken, () =>
    dead.length === 0
      ? 'no lag, no timer past due, no half message, no dead letter'
      : `no lag, no timer past due, no half message; dead letters: ${dead.map(({ group, count }) => `${group} ${count}`).join(', ')}`,
  );
}

const MAX_NAMED = 5;

/** Holds when nothing is broken; otherwise the detail names the first few of what is. */
function check(name: string, broken: readonly string[], otherwise: () => string): Check {
  if (broken.length === 0) return { name, ok: true, detail: otherwise() };
  const more = broken.length > MAX_NAMED ? `; and ${broken.length - MAX_NAMED} more` : '';
  return { name, ok: false, detail: broken.slice(0, MAX_NAMED).join('; ') + more };
}

function found({ count, examples }: Findings, what: string): string[] {
  if (count === 0) return [];
  const more = count > examples.length ? ', …' : '';
  return [`${count} ${what} (${examples.join(', ')}${more})`];
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
