import { PLACED_AT, type SqlRule } from './sql-rule.js';

/**
 * Redis lost a hold after it was made, and was rebuilt before (or, when only a part was lost, soon after) the order
 * was rejected.
 */
const REPAIRED_WITHIN = '5 minutes';
/** A ledger refuses what Redis sold twice because it had lost earlier reservations; those come through the queue. */
const SOLD_TWICE_WITHIN = '1 hour';

/** What was accepted has a row, in a state that exists, and nothing moved for an order that does not. */
export const ORDER_RULES: readonly SqlRule[] = [
  {
    rule: 'illegal-state',
    says: 'orders in no legal state',
    id: 'o.order_no',
    from: `"order".orders o
      WHERE o.status NOT IN ('PENDING_PAYMENT', 'PAID', 'CANCELLED', 'REFUNDING', 'REFUNDED', 'REJECTED')
         OR o.history -> -1 ->> 'status' <> o.status`,
  },
  {
    rule: 'movement-without-order',
    says: 'order numbers in the ledger without an order row',
    id: 'l.order_no',
    from: `(SELECT DISTINCT order_no FROM stock.ledger WHERE movement <> 'SYNC') l
      LEFT JOIN "order".orders o USING (order_no) WHERE o.order_no IS NULL`,
  },
  {
    rule: 'rejected',
    says: 'orders REJECTED though Redis had lost nothing of theirs',
    id: 'o.order_no',
    from: `"order".orders o
      LEFT JOIN stock.ledger refused ON refused.order_no = o.order_no AND refused.movement = 'REFUSED'
      WHERE o.status = 'REJECTED' AND NOT EXISTS (
        SELECT 1 FROM stock.ledger s
        WHERE s.movement = 'SYNC' AND s.ticket_type_id = o.ticket_type_id
          AND s.at <= o.updated_at + interval '${REPAIRED_WITHIN}'
          AND s.at >= ${PLACED_AT}
              - CASE WHEN refused.order_no IS NULL THEN interval '1 second' ELSE interval '${SOLD_TWICE_WITHIN}' END)`,
  },
];

export const ORDERS_BY_STATUS = `
  SELECT status, count(*)::int AS count FROM "order".orders GROUP BY status ORDER BY status`;

/** $1 order numbers. */
export const WITHOUT_ROW = `
  SELECT asked.order_no FROM unnest($1::text[]) AS asked(order_no)
  WHERE NOT EXISTS (SELECT 1 FROM "order".orders o WHERE o.order_no = asked.order_no)`;
