import type { SqlRule } from './sql-rule.js';

export const MONEY_FACTS = `
  SELECT (SELECT count(*)::int FROM payment.payments WHERE status = 'SUCCEEDED') AS captured,
         EXISTS (SELECT 1 FROM payment.provider_intents) OR NOT EXISTS (SELECT 1 FROM payment.payments) AS "hasBook"`;

/** The shop's own books against each other. */
export const MONEY_RULES: readonly SqlRule[] = [
  {
    rule: 'unanswered',
    says: 'captured payments with neither a PAID order nor a finished refund',
    id: 'p.id::text',
    from: `payment.payments p
      LEFT JOIN "order".orders o ON o.order_no = p.order_no AND o.payment_id = p.id AND o.status = 'PAID'
      LEFT JOIN payment.refunds r ON r.payment_id = p.id AND r.status = 'SUCCEEDED'
      WHERE p.status = 'SUCCEEDED' AND o.order_no IS NULL AND r.id IS NULL`,
  },
  {
    // Nothing is asked for a free ticket, so nothing is captured.
    rule: 'unpaid',
    says: 'PAID orders without their captured payment',
    id: 'o.order_no',
    from: `"order".orders o
      LEFT JOIN payment.payments p ON p.id = o.payment_id AND p.order_no = o.order_no AND p.status = 'SUCCEEDED'
        AND p.amount_minor = o.total_minor AND p.currency = o.currency
      WHERE o.status = 'PAID' AND o.total_minor > 0 AND p.id IS NULL`,
  },
  {
    rule: 'ticket-and-money-back',
    says: 'PAID orders whose very payment was refunded',
    id: 'o.order_no',
    from: `"order".orders o
      JOIN payment.refunds r ON r.payment_id = o.payment_id AND r.status = 'SUCCEEDED' WHERE o.status = 'PAID'`,
  },
  {
    rule: 'refunded-without-refund',
    says: 'REFUNDED orders without a finished refund',
    id: 'o.order_no',
    from: `"order".orders o
      LEFT JOIN payment.refunds r ON r.payment_id = o.payment_id AND r.order_no = o.order_no AND r.status = 'SUCCEEDED'
      WHERE o.status = 'REFUNDED' AND r.id IS NULL`,
  },
  {
    rule: 'refund-unfinished',
    says: 'orders still REFUNDING',
    id: 'o.order_no',
    from: `"order".orders o WHERE o.status = 'REFUNDING'`,
  },
  {
    rule: 'refund-of-another-amount',
    says: 'refunds of another amount than was paid',
    id: 'r.id::text',
    from: `payment.refunds r JOIN payment.payments p ON p.id = r.payment_id
      WHERE r.status = 'SUCCEEDED' AND (r.amount_minor <> p.amount_minor OR r.currency <> p.currency)`,
  },
];

/**
 * `put_off`: payments whose provider has put off telling us; a webhook that was tried and not taken excuses nothing.
 * `sent_back`: what went back to buyers of each payment.
 */
export const PROVIDER_BOOK = `
  WITH put_off AS MATERIALIZED (
    SELECT DISTINCT w.body::jsonb ->> 'paymentId' AS payment_id FROM payment.provider_webhooks w
    WHERE w.delivered_at IS NULL AND w.attempts = 0 AND w.due_at > now()
  ), sent_back AS MATERIALIZED (
    SELECT i.reference AS payment_id, i.status = 'REFUNDED' AS is_all,
           CASE i.status WHEN 'REFUNDED' THEN i.amount_minor ELSE i.refunded_minor END AS amount_minor
    FROM payment.provider_intents i WHERE i.status = 'REFUNDED' OR i.refunded_minor > 0)`;

/** The shop's books against the provider's: what counts is where the money really is. */
export const PROVIDER_RULES: readonly SqlRule[] = [
  {
    rule: 'captured-unheard',
    says: 'payments that the provider has captured and the shop has not heard of',
    id: 'i.reference::text',
    from: `payment.provider_intents i
      LEFT JOIN payment.payments p ON p.id = i.reference AND p.intent_id = i.id
      WHERE i.status IN ('CAPTURED', 'REFUNDED') AND p.status IS DISTINCT FROM 'SUCCEEDED'
        AND i.reference::text NOT IN (SELECT payment_id FROM put_off WHERE payment_id IS NOT NULL)`,
  },
  {
    rule: 'not-captured',
    says: 'payments SUCCEEDED here that the provider has not captured, or not that amount',
    id: 'p.id::text',
    from: `payment.payments p
      LEFT JOIN payment.provider_intents i ON i.reference = p.id AND i.status IN ('CAPTURED', 'REFUNDED')
        AND i.amount_minor = p.amount_minor AND i.currency = p.currency
      WHERE p.status = 'SUCCEEDED' AND i.id IS NULL`,
  },
  {
    rule: 'refund-not-made',
    says: 'refunds SUCCEEDED here that the provider has not made',
    id: 'r.id::text',
    from: `payment.refunds r LEFT JOIN sent_back b ON b.payment_id = r.payment_id
      WHERE r.status = 'SUCCEEDED' AND coalesce(b.amount_minor, 0) < r.amount_minor`,
  },
  {
    // A part that was sent back in the provider's dashboard leaves the ticket valid; it is on record, and alerted.
    rule: 'refund-unheard',
    says: 'payments of which the provider has sent back more than the shop knows',
    id: 'b.payment_id::text',
    from: `sent_back b
      LEFT JOIN payment.refunds r ON r.payment_id = b.payment_id AND r.status = 'SUCCEEDED'
      WHERE b.amount_minor > coalesce(r.amount_minor, 0)
        AND b.payment_id::text NOT IN (SELECT payment_id FROM put_off WHERE payment_id IS NOT NULL)
        AND (b.is_all OR NOT EXISTS (
          SELECT 1 FROM payment.webhook_anomalies a
          WHERE a.payment_id = b.payment_id::text AND a.kind = 'partial-refund'))`,
  },
  {
    rule: 'refund-repeated',
    says: "refunds at the provider under another key than the shop's own refund",
    id: 'p.key',
    from: `payment.provider_refunds p LEFT JOIN payment.refunds r ON r.id::text = p.key
      WHERE r.id IS NULL AND p.key <> p.intent_id AND p.key NOT LIKE 'dashboard:%'`,
  },
];
