import { NET, STANDING, type SqlRule } from './sql-rule.js';

/** What the ledger and the deliveries know of each order, beside the order. */
export const EFFECTS = `
  WITH movements AS MATERIALIZED (
    SELECT order_no,
           count(*) FILTER (WHERE movement = 'DEDUCT') AS deducts,
           count(*) FILTER (WHERE movement = 'CONFIRM') AS confirms,
           sum(${NET}) AS net
    FROM stock.ledger GROUP BY order_no
  ), told AS MATERIALIZED (
    SELECT subject_id AS order_no, count(DISTINCT channel) AS channels
    FROM notification.deliveries
    WHERE kind = 'order-paid' AND status = 'SENT' GROUP BY subject_id
  ), effects AS MATERIALIZED (
    SELECT o.order_no, o.status, o.quantity, o.status IN ${STANDING} AS stands,
           coalesce(m.deducts, 0) AS deducts, coalesce(m.confirms, 0) AS confirms, coalesce(m.net, 0) AS net,
           coalesce(t.channels, 0) AS told_by
    FROM "order".orders o LEFT JOIN movements m USING (order_no) LEFT JOIN told t USING (order_no)
  )`;

/** Every effect of an order happened, and happened once: in the ledger, and towards the buyer. */
export const EFFECT_RULES: readonly SqlRule[] = [
  {
    rule: 'deduct',
    says: 'orders that stand without exactly one DEDUCT',
    id: 'order_no',
    from: `effects WHERE stands AND deducts <> 1`,
  },
  {
    rule: 'confirm',
    says: 'PAID orders without exactly one CONFIRM',
    id: 'order_no',
    from: `effects WHERE status = 'PAID' AND confirms <> 1`,
  },
  {
    rule: 'confirm-unpaid',
    says: 'orders with a CONFIRM that nobody has paid',
    id: 'order_no',
    from: `effects WHERE status NOT IN ('PAID', 'REFUNDING', 'REFUNDED') AND confirms > 0`,
  },
  {
    rule: 'kept-in-ledger',
    says: 'orders that hold no tickets but for which the ledger keeps some',
    id: 'order_no',
    from: `effects WHERE NOT stands AND net <> 0`,
  },
  {
    rule: 'another-quantity-in-ledger',
    says: 'orders that stand with another quantity in the ledger',
    id: 'order_no',
    from: `effects WHERE stands AND net <> quantity`,
  },
  {
    rule: 'movement-of-another-order',
    says: 'movements of another ticket type or buyer than their order',
    id: `l.order_no || ' ' || l.movement`,
    from: `stock.ledger l JOIN "order".orders o USING (order_no)
      WHERE l.ticket_type_id <> o.ticket_type_id OR l.buyer_id <> o.buyer_id`,
  },
  {
    rule: 'paid-untold',
    says: 'PAID orders without sms, email and push sent',
    id: 'order_no',
    from: `effects WHERE status = 'PAID' AND told_by < 3`,
  },
  {
    rule: 'told-what-is-not',
    says: 'notifications of something that never became of their order',
    id: `d.subject_id || ' ' || d.kind || ' ' || d.channel`,
    from: `notification.deliveries d
      LEFT JOIN "order".orders o ON o.order_no = d.subject_id
      WHERE d.kind IN ('order-paid', 'order-cancelled', 'order-refunded', 'order-rejected')
        AND (o.order_no IS NULL OR NOT (
          upper(substr(d.kind, 7)) = o.status OR o.history @> jsonb_build_array(jsonb_build_object('status', upper(substr(d.kind, 7))))))`,
  },
];

/** A day less than the mailbox keeps them. */
const MAILS_KEPT = '29 days';

/** As the notification service makes it of what it tells. */
const MESSAGE_ID = `'<' || d.kind || '.' || d.subject_id || '@notifications.stampede.example>'`;

export const MAIL_FACTS = `
  SELECT EXISTS (SELECT 1 FROM notification.mailbox)
      OR NOT EXISTS (SELECT 1 FROM notification.deliveries WHERE channel = 'email' AND status = 'SENT') AS "hasMailbox"`;

/** What really arrived. A mail that was tried again has the same Message-ID and is one mail to its reader. */
export const MAIL_RULES: readonly SqlRule[] = [
  {
    // One notification is one Message-ID: whatever arrives under another one arrives once more.
    rule: 'mail-repeated',
    says: 'mails that arrived beside the one of their notification',
    id: `m.message_id`,
    from: `notification.mailbox m
      LEFT JOIN notification.deliveries d ON d.channel = 'email' AND ${MESSAGE_ID} = m.message_id
      WHERE d.id IS NULL`,
  },
  {
    rule: 'mail-missing',
    says: 'emails noted as SENT that never arrived',
    id: `d.subject_id || ' ' || d.kind`,
    from: `notification.deliveries d
      LEFT JOIN notification.mailbox m
        ON m.message_id = ${MESSAGE_ID}
      WHERE d.channel = 'email' AND d.status = 'SENT' AND d.sent_at > now() - interval '${MAILS_KEPT}'
        AND m.message_id IS NULL`,
  },
];
