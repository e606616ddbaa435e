import type { PrismaClient } from '#prisma/ops';
import { MAX_EXAMPLES, type Finding } from '../finding.js';

/** A rule that the services' tables can break: every row of `from` (and a WHERE) is one thing that does. */
export type SqlRule = Pick<Finding, 'rule' | 'says'> & {
  /** An expression over `from`: what names the thing. */
  id: string;
  from: string;
};

export type Query = <Row>(sql: string, ...values: unknown[]) => Promise<Row[]>;

export const queryOf =
  (client: Pick<PrismaClient, '$queryRawUnsafe'>): Query =>
  (sql, ...values) =>
    client.$queryRawUnsafe(sql, ...values);

/** States in which an order holds its tickets. */
export const STANDING = `('PENDING_PAYMENT', 'PAID')`;

/** What a movement adds to the tickets that its order holds. */
export const NET = `CASE WHEN movement IN ('DEDUCT', 'REACQUIRE') THEN quantity
                         WHEN movement IN ('ROLLBACK', 'RETURN') THEN -quantity ELSE 0 END`;

/** When the buyer of `o` took the tickets, by the gateway's clock. */
export const PLACED_AT = `coalesce((o.history -> 0 ->> 'at')::timestamptz, o.created_at)`;

/**
 * All rules of one check in one statement, so that they see one state. It reads whole tables once, in hash joins and
 * aggregates, and gives back counts and a few ids: its answer stays small at any size.
 */
export async function findings(
  query: Query,
  check: Finding['check'],
  rules: readonly SqlRule[],
  common = '',
): Promise<Finding[]> {
  const statement = rules
    .map(
      ({ rule, id, from }) => `
      SELECT '${rule}' AS rule, count(*)::int AS count,
             coalesce((array_agg(${id} ORDER BY ${id}))[1:${MAX_EXAMPLES}], '{}')::text[] AS examples
      FROM ${from}`,
    )
    .join('\nUNION ALL\n');
  const rows = await query<Pick<Finding, 'rule' | 'count' | 'examples'>>(`${common}${statement}`);
  return rows.map((row) => ({
    ...row,
    check,
    says: rules.find(({ rule }) => rule === row.rule)?.says ?? row.rule,
  }));
}
