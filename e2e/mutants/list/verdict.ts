import { slipsIn, type Mutant } from '../mutant.js';

const VERDICT = 'apps/ops/src/verdict';
const GIVING = [`${VERDICT}/give-verdict.int.spec.ts`];

/** A verdict that holds means what it says. */
export const VERDICTS: readonly Mutant[] = [
  ...slipsIn(`${VERDICT}/read-log.ts`, 'verdict', GIVING, [
    [
      'one-partition-of-the-log',
      'of known?.partitions ?? []) {',
      'of (known?.partitions ?? []).slice(0, 1)) {',
    ],
    [
      'the-last-message-of-each-partition',
      'for (let offset = startOffset; offset < endOffset;) {',
      'for (let offset = startOffset; offset < endOffset - 1;) {',
    ],
    ['accepted-orders-are-not-looked-for', 'gathered.add(MISSING, await this.withoutRow(orderNos));', ''],
  ]),
  ...slipsIn(`${VERDICT}/rules/order-rules.ts`, 'verdict', GIVING, [
    ['movements-without-orders', 'WHERE o.order_no IS NULL`,', 'WHERE false`,'],
    ['histories-that-end-elsewhere', "OR o.history -> -1 ->> 'status' <> o.status", ''],
    ['one-sync-excuses-every-type', 'AND s.ticket_type_id = o.ticket_type_id', ''],
    [
      'one-sync-excuses-for-ever',
      "AND s.at >= ${PLACED_AT}\n              - CASE WHEN refused.order_no IS NULL THEN interval '1 second' ELSE interval '${SOLD_TWICE_WITHIN}' END)",
      ')',
    ],
    [
      'rejected-orders-pass',
      "WHERE o.status = 'REJECTED' AND NOT EXISTS",
      "WHERE o.status = 'NEVER' AND NOT EXISTS",
    ],
  ]),
  ...slipsIn(`${VERDICT}/rules/money-rules.ts`, 'verdict', GIVING, [
    [
      'captured-without-an-answer',
      "WHERE p.status = 'SUCCEEDED' AND o.order_no IS NULL AND r.id IS NULL",
      'WHERE false',
    ],
    ['a-second-payment-is-answered-by-the-first', 'AND o.payment_id = p.id AND', 'AND'],
    [
      'refunded-without-a-refund',
      "WHERE o.status = 'REFUNDED' AND r.id IS NULL",
      "WHERE o.status = 'NEVER' AND r.id IS NULL",
    ],
    [
      'refunds-of-any-amount',
      "WHERE r.status = 'SUCCEEDED' AND (r.amount_minor <> p.amount_minor OR r.currency <> p.currency)",
      "WHERE r.status = 'NEVER'",
    ],
    ['paid-by-any-amount', 'AND p.amount_minor = o.total_minor AND p.currency', 'AND p.currency'],
    ['unheard-captures', "AND p.status IS DISTINCT FROM 'SUCCEEDED'", 'AND p.status IS NULL'],
    ['what-the-provider-has-not-captured', "WHERE p.status = 'SUCCEEDED' AND i.id IS NULL", 'WHERE false'],
    ['refunds-not-made', 'coalesce(b.amount_minor, 0) < r.amount_minor', 'false'],
    ['refunds-unheard', 'WHERE b.amount_minor > coalesce(r.amount_minor, 0)', 'WHERE b.amount_minor > 1e9'],
    [
      'refunds-repeated',
      "WHERE r.id IS NULL AND p.key <> p.intent_id AND p.key NOT LIKE 'dashboard:%'",
      'WHERE false',
    ],
    ['webhooks-that-fail-for-ever-are-put-off', 'AND w.attempts = 0 AND', 'AND'],
    ['orders-that-refund-for-ever', "WHERE o.status = 'REFUNDING'`,", "WHERE o.status = 'NEVER'`,"],
  ]),
  ...slipsIn(`${VERDICT}/rules/effect-rules.ts`, 'verdict', GIVING, [
    ['a-missing-push', "WHERE status = 'PAID' AND told_by < 3", "WHERE status = 'PAID' AND told_by < 2"],
    ['a-missing-deduct', 'WHERE stands AND deducts <> 1', 'WHERE stands AND deducts > 1'],
    [
      'a-missing-confirm',
      "WHERE status = 'PAID' AND confirms <> 1",
      "WHERE status = 'PAID' AND confirms > 1",
    ],
    ['tickets-kept-in-the-ledger', 'WHERE NOT stands AND net <> 0', 'WHERE false'],
    [
      'movements-of-others',
      'WHERE l.ticket_type_id <> o.ticket_type_id OR l.buyer_id <> o.buyer_id',
      'WHERE l.ticket_type_id <> o.ticket_type_id',
    ],
    ['mails-that-never-came', 'AND m.message_id IS NULL', 'AND false'],
    ['mails-that-came-twice', 'WHERE d.id IS NULL`,', 'WHERE false`,'],
    ['told-what-never-was', 'AND (o.order_no IS NULL OR NOT (', 'AND (o.order_no IS NULL AND NOT ('],
  ]),
  ...slipsIn(`${VERDICT}/rules/hold-rules.ts`, 'verdict', GIVING, [
    [
      'holds-of-no-order',
      'if (order === undefined) return lives ? ORPHAN : undefined;',
      'if (order === undefined) return undefined;',
    ],
    ['kept-and-given-back-holds', 'if (isStanding(order) !== lives) return lives ? KEPT : GIVEN_BACK;', ''],
    ['holds-of-another-buyer', '&& order.buyerId === hold.buyerId &&', '&&'],
  ]),
  ...slipsIn(`${VERDICT}/read-stock.ts`, 'verdict', GIVING, [
    [
      'holds-that-redis-forgot',
      'if (missing > 0) gathered.add(MISSING',
      'if (missing > 1e9) gathered.add(MISSING',
    ],
    ['tickets-sold-again-excuse', 'returned -= quantity;', ';'],
  ]),
  ...slipsIn(`${VERDICT}/rules/stock-rules.ts`, 'verdict', GIVING, [
    ['redis-is-not-compared-with-the-ledger', 'if (sold !== ledgerMovements) {', 'if (false as boolean) {'],
    [
      'the-ledgers-total-is-believed',
      'if (ledgerSold < 0 || ledgerSold !== ledgerMovements) {',
      'if (ledgerSold < 0) {',
    ],
    [
      'counters-that-do-not-add-up',
      'if (Math.min(held, sold) < 0 || free + held + sold !== initial) {',
      'if (Math.min(held, sold) < 0) {',
    ],
    ['negative-counters', 'if (Math.min(held, sold) < 0 || free', 'if (free'],
    ['limits-charged-wrongly', 'if (charged !== holds.held + holds.sold) {', 'if (false as boolean) {'],
    [
      'holds-that-differ-from-counters',
      'if (holds.held !== held || holds.sold !== sold) {',
      'if (false as boolean) {',
    ],
    ['oversold-by-one', 'if (sold > quantity) {', 'if (sold > quantity + 1) {'],
    ['undersold-passes', 'if (missed > 0) gathered.add(rule, [note], missed);', ''],
    ['another-quantity-in-redis', 'if (initial !== quantity) {', 'if (false as boolean) {'],
  ]),
  ...slipsIn(`${VERDICT}/rules/term-rules.ts`, 'verdict', GIVING, [
    ['limits-passed', 'WHERE b.held > t.per_user_limit', 'WHERE b.held > t.per_user_limit * 1000'],
    ['other-prices', 'OR o.total_minor <> o.quantity * t.price_minor', ''],
    ['other-currencies', 'OR o.currency <> t.currency', ''],
    ['sold-before-the-sale', 'WHERE ${PLACED_AT} < t.sale_opens_at', 'WHERE false'],
    ['sold-after-the-start', "WHERE ${PLACED_AT} >= s.starts_at + interval '${SENT_WITHIN}'", 'WHERE false'],
    ['lost-timers', "AND o.pay_before < now() - interval '${LATE_BY}'", 'AND false'],
    ['cancelled-and-never-told', "untold('CANCELLED'),", ''],
    ['two-channels-are-enough', 'const EVERYWHERE = 3;', 'const EVERYWHERE = 2;'],
  ]),
  ...slipsIn(`${VERDICT}/rules/quiet-rules.ts`, 'verdict', GIVING, [
    ['missed-messages', 'missed.messages);', '0);'],
    ['letters-dropped', 'deadLettersDropped,\n    );', '0,\n    );'],
    ['places-unreadable', 'unread, unread.length);', 'unread, 0);'],
    [
      'half-messages',
      "['see npm run broker -- transactions'], pending);",
      "['see npm run broker -- transactions'], 0);",
    ],
    ['parked-half-messages', 'parkedIds, parkedIds.length);', 'parkedIds, 0);'],
    ['timers-past-due', 'timers.pastDue);', '0);'],
  ]),
];
