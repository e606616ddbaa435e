/**
 * What the verdict asks of the services' tables. Each statement reads whole tables once, in hash joins and
 * aggregates, and gives back counts with the first few ids, so that its answer stays small at any size.
 */

/** Movement of tickets: what it adds to what an order holds. */
const NET = `CASE movement WHEN 'DEDUCT' THEN quantity WHEN 'REACQUIRE' THEN quantity WHEN 'ROLLBACK' THEN -quantity ELSE 0 END`;

/** One row of a findings statement: how many ids broke the rule, and the first of them. */
const rule = (name: string, id: string, from: string): string =>
  `SELECT '${name}' AS rule, count(*)::int AS count, coalesce((array_agg(${id}::text ORDER BY ${id}))[1:3], '{}') AS examples FROM ${from}`;

export const TICKET_TYPES = `
  SELECT t.id, t.quantity, t.sold, coalesce(l.net, 0)::int AS movements,
         coalesce(o.ordered, 0)::int AS ordered, coalesce(o.paid, 0)::int AS paid
  FROM stock.ticket_types t
  LEFT JOIN (
    SELECT ticket_type_id, sum(${NET}) AS net FROM stock.ledger GROUP BY ticket_type_id
  ) l ON l.ticket_type_id = t.id
  LEFT JOIN (
    SELECT ticket_type_id,
           sum(quantity) FILTER (WHERE status IN ('PENDING_PAYMENT', 'PAID')) AS ordered,
           sum(quantity) FILTER (WHERE status = 'PAID') AS paid
    FROM "order".orders GROUP BY ticket_type_id
  ) o ON o.ticket_type_id = t.id
  ORDER BY t.id`;

/** $1 ticket type, $2 since when. */
export const RETURNED_SINCE = `
  SELECT coalesce(sum(quantity), 0)::int AS returned FROM stock.ledger
  WHERE ticket_type_id = $1 AND movement = 'ROLLBACK' AND at >= $2`;

export const ORDERS_BY_STATUS = `SELECT status, count(*)::int AS count FROM "order".orders GROUP BY status ORDER BY status`;

/** $1 order numbers. */
export const WITHOUT_ROW = `
  SELECT asked.order_no FROM unnest($1::text[]) AS asked(order_no)
  WHERE NOT EXISTS (SELECT 1 FROM "order".orders o WHERE o.order_no = asked.order_no)`;

export const ORDER_FINDINGS = [
  rule(
    'illegal',
    'order_no',
    `"order".orders WHERE status NOT IN ('PENDING_PAYMENT', 'PAID', 'CANCELLED', 'REFUNDING', 'REFUNDED', 'REJECTED')`,
  ),
  rule('rejected', 'order_no', `"order".orders WHERE status = 'REJECTED'`),
  rule(
    'ledgerOnly',
    'l.order_no',
    `stock.ledger l LEFT JOIN "order".orders o USING (order_no)
     WHERE l.movement IN ('DEDUCT', 'CONFIRM', 'ROLLBACK', 'REACQUIRE') AND o.order_no IS NULL`,
  ),
].join('\nUNION ALL\n');

/** The row, not the message: it is there even when the broker was away while Redis was put right. */
export const REDIS_REBUILDS = `SELECT count(*)::int AS count FROM stock.ledger WHERE movement = 'SYNC'`;

export const CAPTURED = `SELECT count(*)::int AS count FROM payment.payments WHERE status = 'SUCCEEDED'`;

/**
 * The provider's own book counts too: money that it captured and we never heard of is money that we owe
 * an answer for, unless it has put off telling us.
 */
export const MONEY_FINDINGS = [
  rule(
    'unanswered',
    'p.id',
    `payment.payments p
     LEFT JOIN payment.provider_intents i ON i.reference = p.id
     LEFT JOIN "order".orders o ON o.order_no = p.order_no AND o.payment_id = p.id AND o.status = 'PAID'
     LEFT JOIN payment.refunds r ON r.payment_id = p.id AND r.status = 'SUCCEEDED'
     WHERE (p.status = 'SUCCEEDED' OR i.status = 'CAPTURED') AND o.order_no IS NULL AND r.id IS NULL
       AND (p.status = 'SUCCEEDED' OR p.id NOT IN (
         SELECT (w.body::jsonb ->> 'paymentId')::uuid FROM payment.provider_webhooks w
         WHERE w.delivered_at IS NULL AND w.due_at > now()))`,
  ),
  rule(
    'unpaid',
    'o.order_no',
    `"order".orders o
     LEFT JOIN payment.payments p ON p.id = o.payment_id AND p.order_no = o.order_no AND p.status = 'SUCCEEDED'
       AND p.amount_minor = o.total_minor AND p.currency = o.currency
     WHERE o.status = 'PAID' AND p.id IS NULL`,
  ),
  rule(
    'misrefunded',
    'o.order_no',
    `"order".orders o
     LEFT JOIN payment.refunds r ON r.payment_id = o.payment_id AND r.status = 'SUCCEEDED'
     WHERE (o.status = 'PAID' AND r.id IS NOT NULL) OR (o.status = 'REFUNDED' AND r.id IS NULL)`,
  ),
].join('\nUNION ALL\n');

export const EFFECT_FINDINGS = `
  WITH movements AS MATERIALIZED (
    SELECT order_no,
           count(*) FILTER (WHERE movement = 'DEDUCT') AS deducts,
           count(*) FILTER (WHERE movement = 'CONFIRM') AS confirms,
           sum(${NET}) AS net,
           greatest(${['DEDUCT', 'CONFIRM', 'ROLLBACK', 'REACQUIRE', 'REFUSED']
             .map((movement) => `count(*) FILTER (WHERE movement = '${movement}')`)
             .join(', ')}) AS most
    FROM stock.ledger GROUP BY order_no
  ), notified AS MATERIALIZED (
    SELECT subject_id AS order_no,
           bool_or(channel = 'sms') AND bool_or(channel = 'email') AND bool_or(channel = 'push') AS everywhere
    FROM notification.deliveries WHERE kind = 'order-paid' AND status = 'SENT' GROUP BY subject_id
  ), effects AS MATERIALIZED (
    SELECT o.order_no, o.status, coalesce(m.deducts, 0) AS deducts, coalesce(m.confirms, 0) AS confirms,
           coalesce(m.net, 0) AS net, coalesce(n.everywhere, false) AS notified
    FROM "order".orders o LEFT JOIN movements m USING (order_no) LEFT JOIN notified n USING (order_no)
  )
  ${[
    rule('deduct', 'order_no', `effects WHERE status = 'PAID' AND deducts <> 1`),
    rule('confirm', 'order_no', `effects WHERE status = 'PAID' AND confirms <> 1`),
    rule('rollback', 'order_no', `effects WHERE status NOT IN ('PENDING_PAYMENT', 'PAID') AND net <> 0`),
    rule('unnotified', 'order_no', `effects WHERE status = 'PAID' AND NOT notified`),
    rule('repeatedMovements', 'order_no', `movements WHERE most > 1`),
    rule(
      'repeatedNotifications',
      'subject_id',
      `(SELECT subject_id FROM notification.deliveries GROUP BY subject_id, kind, channel HAVING count(*) > 1) twice`,
    ),
  ].join('\nUNION ALL\n')}`;
