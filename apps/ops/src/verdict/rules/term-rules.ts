import { PLACED_AT, STANDING, type SqlRule } from './sql-rule.js';

/** Clocks of the order service and the database differ a little, and a timer fires when it is due, not before. */
const LATE_BY = '2 seconds';
/** The tickets are taken first and the order is sent then, or sent again by a buyer who got no answer. */
const SENT_WITHIN = '10 seconds';
const EVERYWHERE = 3;

/** Orders in a state whose buyer was to be told on every channel, and was not. */
const untold = (status: string): SqlRule => {
  const kind = `order-${status.toLowerCase()}`;
  return {
    rule: `${status.toLowerCase()}-untold`,
    says: `${status} orders whose buyers were not told by sms, email and push`,
    id: 'o.order_no',
    from: `"order".orders o
      LEFT JOIN (SELECT subject_id, count(DISTINCT channel) AS channels FROM notification.deliveries
                 WHERE kind = '${kind}' AND status = 'SENT' GROUP BY subject_id) t ON t.subject_id = o.order_no
      WHERE o.status = '${status}' AND coalesce(t.channels, 0) < ${EVERYWHERE}`,
  };
};

const ORDERS_AND_TERMS = `"order".orders o
  JOIN stock.ticket_types t ON t.id = o.ticket_type_id JOIN stock.sessions s ON s.id = t.session_id`;

/** What was sold, was sold as it was offered; and whoever did not get it knows. */
export const TERM_RULES: readonly SqlRule[] = [
  {
    rule: 'over-limit',
    says: 'buyers with more tickets of a type than one may hold',
    id: `b.buyer_id || ' ' || b.ticket_type_id || ': ' || b.held`,
    from: `(SELECT o.buyer_id, o.ticket_type_id, sum(o.quantity) AS held FROM "order".orders o
            WHERE o.status IN ${STANDING} GROUP BY o.buyer_id, o.ticket_type_id) b
      JOIN stock.ticket_types t ON t.id = b.ticket_type_id WHERE b.held > t.per_user_limit`,
  },
  {
    rule: 'another-price',
    says: 'orders at another price than their tickets have',
    id: 'o.order_no',
    from: `"order".orders o LEFT JOIN stock.ticket_types t ON t.id = o.ticket_type_id
      WHERE t.id IS NULL OR o.total_minor <> o.quantity * t.price_minor OR o.currency <> t.currency`,
  },
  {
    rule: 'before-sale',
    says: 'orders placed before their sale opened',
    id: 'o.order_no',
    from: `${ORDERS_AND_TERMS} WHERE ${PLACED_AT} < t.sale_opens_at`,
  },
  {
    rule: 'after-sale',
    says: 'orders placed after their sale had closed',
    id: 'o.order_no',
    from: `${ORDERS_AND_TERMS} WHERE ${PLACED_AT} >= t.sale_closes_at + interval '${SENT_WITHIN}'`,
  },
  {
    rule: 'after-start',
    says: 'orders placed after their session had begun',
    id: 'o.order_no',
    from: `${ORDERS_AND_TERMS} WHERE ${PLACED_AT} >= s.starts_at + interval '${SENT_WITHIN}'`,
  },
  {
    rule: 'past-pay-before',
    says: 'orders still open past their time to pay',
    id: 'o.order_no',
    from: `"order".orders o WHERE o.status = 'PENDING_PAYMENT'
      AND o.pay_before < now() - interval '${LATE_BY}'`,
  },
  untold('CANCELLED'),
  untold('REFUNDED'),
  untold('REJECTED'),
];
