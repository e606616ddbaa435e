import { Injectable } from '@nestjs/common';
import { PrismaClient } from '#prisma/ops';
import { withStatementTimeout } from '#libs/service-kit';
import {
  CAPTURED,
  EFFECT_FINDINGS,
  MONEY_FINDINGS,
  ORDER_FINDINGS,
  ORDERS_BY_STATUS,
  REDIS_REBUILDS,
  RETURNED_SINCE,
  TICKET_TYPES,
} from './books.sql.js';
import { none, type Demand, type Findings, type VerdictSnapshot } from './snapshot.js';

/** For a verdict over hundreds of thousands of orders on a busy machine. */
const TIMEOUT_MS = 120_000;
/** Half a million orders then fit into the hash tables; with Postgres' default they go through files. */
const WORK_MEM = '64MB';
/** A rollback is in the ledger a moment before its ticket is free, and clocks differ a little. */
const RETURN_MARGIN_MS = 5_000;

/** What the database knows; `redis` and what the broker's log knows are still to be added. */
export type Books = {
  ticketTypes: Omit<VerdictSnapshot['ticketTypes'][number], 'redis'>[];
  demand: VerdictSnapshot['demand'];
  orders: Omit<VerdictSnapshot['orders'], 'accepted' | 'missing'>;
  money: VerdictSnapshot['money'];
  effects: VerdictSnapshot['effects'];
};

type Query = <Row>(sql: string, ...values: unknown[]) => Promise<Row[]>;

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
        const query: Query = (sql, ...values) => tx.$queryRawUnsafe(sql, ...values);
        await tx.$executeRawUnsafe(`SET LOCAL work_mem = '${WORK_MEM}'`);
        await tx.$executeRawUnsafe(`SET LOCAL statement_timeout = ${TIMEOUT_MS}`);
        const byStatus = await countsByStatus(query);
        const orders = await findings(query, ORDER_FINDINGS);
        const money = await findings(query, MONEY_FINDINGS);
        const effects = await findings(query, EFFECT_FINDINGS);
        const [captured] = await query<{ count: number }>(CAPTURED);
        const [rebuilds] = await query<{ count: number }>(REDIS_REBUILDS);
        return {
          ticketTypes: await ticketTypes(query),
          demand: demand && { ...demand, returnedSince: await returnedSince(query, demand) },
          orders: {
            byStatus,
            illegal: orders('illegal'),
            rejected: orders('rejected'),
            ledgerOnly: orders('ledgerOnly'),
            redisRebuilds: rebuilds?.count ?? 0,
          },
          money: {
            captured: captured?.count ?? 0,
            unanswered: money('unanswered'),
            unpaid: money('unpaid'),
            misrefunded: money('misrefunded'),
          },
          effects: {
            paidOrders: byStatus['PAID'] ?? 0,
            deduct: effects('deduct'),
            confirm: effects('confirm'),
            rollback: effects('rollback'),
            repeatedMovements: effects('repeatedMovements'),
            unnotified: effects('unnotified'),
            repeatedNotifications: effects('repeatedNotifications'),
          },
        };
      },
      { isolationLevel: 'RepeatableRead', timeout: TIMEOUT_MS },
    );
  }
}

async function ticketTypes(query: Query): Promise<Books['ticketTypes']> {
  type Row = { id: string; quantity: number; sold: number; movements: number; ordered: number; paid: number };
  const rows = await query<Row>(TICKET_TYPES);
  return rows.map(({ id, sold, movements, ...facts }) => ({
    ...facts,
    ticketTypeId: id,
    ledgerSold: sold,
    ledgerMovements: movements,
  }));
}

async function countsByStatus(query: Query): Promise<Record<string, number>> {
  const rows = await query<{ status: string; count: number }>(ORDERS_BY_STATUS);
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
}

async function returnedSince(query: Query, { ticketTypeId, lastSoldOutAtMs }: Demand): Promise<number> {
  if (lastSoldOutAtMs === undefined) return 0;
  const since = new Date(lastSoldOutAtMs - RETURN_MARGIN_MS);
  const [row] = await query<{ returned: number }>(RETURNED_SINCE, ticketTypeId, since);
  return row?.returned ?? 0;
}

/** The statement's rows by the name of their rule. */
async function findings(query: Query, sql: string): Promise<(rule: string) => Findings> {
  const rows = await query<{ rule: string } & Findings>(sql);
  const byRule = new Map(rows.map(({ rule, count, examples }) => [rule, { count, examples }]));
  return (rule) => byRule.get(rule) ?? none;
}
