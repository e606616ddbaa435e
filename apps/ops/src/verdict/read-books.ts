import { Injectable } from '@nestjs/common';
import { withStatementTimeout } from '#libs/service-kit';
import { PrismaClient } from '#prisma/ops';
import type { Finding } from './finding.js';
import { EFFECT_RULES, EFFECTS, MAIL_FACTS, MAIL_RULES } from './rules/effect-rules.js';
import { MONEY_FACTS, MONEY_RULES, PROVIDER_BOOK, PROVIDER_RULES } from './rules/money-rules.js';
import { ORDER_RULES, ORDERS_BY_STATUS } from './rules/order-rules.js';
import { findings, NET, queryOf, STANDING, type Query } from './rules/sql-rule.js';
import type { Demand, TicketTypeFacts } from './rules/stock-rules.js';
import { TERM_RULES } from './rules/term-rules.js';

/** For a verdict over hundreds of thousands of orders on a busy machine. */
const TIMEOUT_MS = 120_000;
/** Half a million orders then fit into the hash tables; with Postgres' default they go through files. */
const WORK_MEM = '64MB';
/** A rollback is in the ledger a moment before its ticket is free, and clocks differ a little. */
export const RETURN_MARGIN_MS = 2_000;

const TICKET_TYPES = `
  SELECT t.id AS "ticketTypeId", t.quantity, t.sold AS "ledgerSold", coalesce(l.net, 0)::int AS "ledgerMovements",
         coalesce(o.ordered, 0)::int AS ordered, coalesce(o.standing, 0)::int AS "standingOrders"
  FROM stock.ticket_types t
  LEFT JOIN (
    SELECT ticket_type_id, sum(${NET}) AS net
    FROM stock.ledger GROUP BY ticket_type_id
  ) l ON l.ticket_type_id = t.id
  LEFT JOIN (
    SELECT ticket_type_id, sum(quantity) AS ordered, count(*) AS standing
    FROM "order".orders WHERE status IN ${STANDING} GROUP BY ticket_type_id
  ) o ON o.ticket_type_id = t.id
  ORDER BY t.id`;

/** $1 ticket type, $2 since when tickets given back count, $3 since when tickets taken again do. */
const RETURNED_SINCE = `
  SELECT (coalesce(sum(quantity) FILTER (WHERE movement IN ('ROLLBACK', 'RETURN') AND at >= $2), 0)
        - coalesce(sum(quantity) FILTER (WHERE movement = 'REACQUIRE' AND at >= $3), 0))::int AS returned
  FROM stock.ledger WHERE ticket_type_id = $1`;

/** What the database knows; Redis and the broker are still to be asked. */
export type Books = {
  ticketTypes: Omit<TicketTypeFacts, 'redis'>[];
  /** Tickets given back since the last sold-out answer by orders, without those that late payments took again. */
  returnedSince: number;
  byStatus: Readonly<Record<string, number>>;
  capturedPayments: number;
  /** False with a real provider, whose book is not in this database: then it was not compared. */
  hasProviderBook: boolean;
  /** False when mail goes to a real server, whose mailboxes nobody can read. */
  hasMailbox: boolean;
  findings: Finding[];
};

/** Reads every service's tables, which the role of ops alone may do. */
@Injectable()
export class ReadBooks {
  constructor(private readonly prisma: PrismaClient) {}

  /** All from one snapshot of the database, so that its books can be compared with each other. */
  async execute(demand: Demand | undefined): Promise<Books> {
    return withStatementTimeout(TIMEOUT_MS, () => this.read(demand));
  }

  private read(demand: Demand | undefined): Promise<Books> {
    return this.prisma.$transaction(
      async (tx) => {
        const query = queryOf(tx);
        await tx.$executeRawUnsafe(`SET LOCAL work_mem = '${WORK_MEM}'`);
        await tx.$executeRawUnsafe(`SET LOCAL statement_timeout = ${TIMEOUT_MS}`);
        const [money] = await query<{ captured: number; hasBook: boolean }>(MONEY_FACTS);
        const [mail] = await query<{ hasMailbox: boolean }>(MAIL_FACTS);
        const hasProviderBook = money?.hasBook === true;
        const hasMailbox = mail?.hasMailbox === true;
        return {
          ticketTypes: await query<Omit<TicketTypeFacts, 'redis'>>(TICKET_TYPES),
          returnedSince: demand === undefined ? 0 : await returnedSince(query, demand),
          byStatus: await countsByStatus(query),
          capturedPayments: money?.captured ?? 0,
          hasProviderBook,
          hasMailbox,
          findings: [
            ...(await findings(query, 'no-lost-order', ORDER_RULES)),
            ...(await findings(query, 'money-equals-tickets', MONEY_RULES)),
            ...(hasProviderBook
              ? await findings(query, 'money-equals-tickets', PROVIDER_RULES, PROVIDER_BOOK)
              : []),
            ...(await findings(query, 'effects-once', EFFECT_RULES, EFFECTS)),
            ...(hasMailbox ? await findings(query, 'effects-once', MAIL_RULES) : []),
            ...(await findings(query, 'terms', TERM_RULES)),
          ],
        };
      },
      { isolationLevel: 'RepeatableRead', timeout: TIMEOUT_MS },
    );
  }
}

async function countsByStatus(query: Query): Promise<Record<string, number>> {
  const rows = await query<{ status: string; count: number }>(ORDERS_BY_STATUS);
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
}

async function returnedSince(query: Query, { ticketTypeId, lastSoldOutAtMs }: Demand): Promise<number> {
  if (lastSoldOutAtMs === undefined) return 0;
  const [row] = await query<{ returned: number }>(
    RETURNED_SINCE,
    ticketTypeId,
    new Date(lastSoldOutAtMs - RETURN_MARGIN_MS),
    new Date(lastSoldOutAtMs),
  );
  return row?.returned ?? 0;
}
