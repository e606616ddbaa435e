import { Gathered, type Finding } from '../finding.js';

/** What Redis says of a ticket type: the counters, and what holds and buyers add up to one by one. */
export type StockInRedis = {
  initial: number;
  free: number;
  held: number;
  sold: number;
  holds: { held: number; sold: number };
  /** Tickets that count towards their buyers' limits. */
  charged: number;
};

/** Everything that is known of one ticket type, in tickets. */
export type TicketTypeFacts = {
  ticketTypeId: string;
  /** As the organiser put it on sale. */
  quantity: number;
  /** The ledger's running total. */
  ledgerSold: number;
  /** DEDUCT + REACQUIRE − ROLLBACK − RETURN, summed over the ledger's rows. */
  ledgerMovements: number;
  /** In orders that stand: PENDING_PAYMENT and PAID. */
  ordered: number;
  /** How many orders those are. */
  standingOrders: number;
  /** Undefined when Redis does not know the ticket type. */
  redis: StockInRedis | undefined;
};

/** What only the caller knows: how many tickets buyers asked for. */
export type Demand = {
  ticketTypeId: string;
  tickets: number;
  /** When the last buyer was told that it is sold out, epoch milliseconds. Undefined: not said. */
  lastSoldOutAtMs: number | undefined;
};

/** No book says that more tickets are sold than there are. */
export function oversells(ticketTypes: readonly TicketTypeFacts[]): Finding[] {
  const gathered = new Gathered();
  for (const { ticketTypeId: id, quantity, redis, ...type } of ticketTypes) {
    const books = {
      ledger: type.ledgerSold,
      'ledger rows': type.ledgerMovements,
      orders: type.ordered,
      // What is held is promised.
      Redis: redis === undefined ? 0 : redis.held + redis.sold,
    };
    for (const [book, sold] of Object.entries(books)) {
      const rule = `oversold-in-${book.toLowerCase().replace(' ', '-')}`;
      if (sold > quantity) {
        gathered.add({ check: 'no-oversell', rule, says: 'ticket types oversold' }, [
          `${id}: ${book} sold ${sold} of ${quantity}`,
        ]);
      }
    }
  }
  return gathered.findings;
}

/**
 * Every ticket is in exactly one place, and the books say the same place. That the ledger's rows are those of the orders is
 * looked at order by order, see the effects.
 */
export function conservation(ticketTypes: readonly TicketTypeFacts[]): Finding[] {
  const gathered = new Gathered();
  const differ = (rule: string, says: string, example: string): void =>
    gathered.add({ check: 'conservation', rule, says: `ticket types ${says}` }, [example]);
  for (const type of ticketTypes) {
    const { ticketTypeId: id, quantity, ledgerSold, ledgerMovements, redis } = type;
    if (ledgerSold < 0 || ledgerSold !== ledgerMovements) {
      const example = `${id}: ledger sold ${ledgerSold}, its rows add up to ${ledgerMovements}`;
      differ('ledger-total', 'whose ledger does not add up', example);
    }
    if (redis === undefined) {
      differ('not-in-redis', 'that Redis does not know', id);
      continue;
    }
    const { initial, free, held, sold, holds, charged } = redis;
    if (initial !== quantity) {
      differ(
        'redis-quantity',
        'of another quantity in Redis',
        `${id}: Redis started with ${initial}, not ${quantity}`,
      );
    }
    if (Math.min(held, sold) < 0 || free + held + sold !== initial) {
      const example = `${id}: Redis has ${free} free + ${held} held + ${sold} sold of ${initial}`;
      differ('redis-total', 'whose counters do not add up', example);
    }
    if (holds.held !== held || holds.sold !== sold) {
      const example = `${id}: Redis counts ${held} held + ${sold} sold, its holds ${holds.held} + ${holds.sold}`;
      differ('redis-holds', 'whose counters and holds differ', example);
    }
    if (charged !== holds.held + holds.sold) {
      const example = `${id}: buyers are charged ${charged}, holds are ${holds.held + holds.sold}`;
      differ('redis-charged', 'whose holds and limits differ', example);
    }
    if (sold !== ledgerMovements) {
      const example = `${id}: Redis sold ${sold}, ledger rows ${ledgerMovements}`;
      differ('redis-and-ledger', 'whose Redis and ledger differ', example);
    }
  }
  return gathered.findings;
}

/**
 * Nobody was turned away while a ticket was free. The shop does not know who was turned away, so the
 * caller says how many tickets were asked for. Tickets given back after the last buyer was turned
 * away may be free without anyone having missed them, unless somebody has taken them since.
 */
export function undersell(
  ticketTypes: readonly TicketTypeFacts[],
  demand: (Demand & { returnedSince: number }) | undefined,
): { findings: Finding[]; note: string } {
  if (demand === undefined) {
    return { findings: [], note: 'demand unknown: pass ?demand=<ticketTypeId>:<tickets>' };
  }
  const gathered = new Gathered();
  const type = ticketTypes.find(({ ticketTypeId }) => ticketTypeId === demand.ticketTypeId);
  if (type === undefined) {
    const rule = {
      check: 'no-undersell',
      rule: 'unknown-ticket-type',
      says: 'ticket types that do not exist',
    } as const;
    gathered.add(rule, [demand.ticketTypeId]);
    return { findings: gathered.findings, note: '' };
  }
  const { ticketTypeId: id, quantity, ledgerMovements: sold } = type;
  const asked = `${id}: ${demand.tickets} asked for ${quantity}, ${sold} sold`;
  if (demand.tickets < quantity) return { findings: [], note: asked };
  const note = `${asked}, ${demand.returnedSince} given back since and not taken`;
  const missed = quantity - sold - Math.max(0, demand.returnedSince);
  const rule = {
    check: 'no-undersell',
    rule: 'undersold',
    says: 'tickets free that were asked for',
  } as const;
  if (missed > 0) gathered.add(rule, [note], missed);
  return { findings: gathered.findings, note };
}
