import { slipsIn, type Mutant } from '../mutant.js';

const PAYMENT = 'apps/payment/src';
const STATES = [`${PAYMENT}/domain/payment-state.spec.ts`];
const WEBHOOKS = [`${PAYMENT}/accept-webhook/accept-webhook.int.spec.ts`];
const ODD = [`${PAYMENT}/accept-webhook/odd-webhooks.int.spec.ts`];
const RACING = [`${PAYMENT}/accept-webhook/racing-webhooks.int.spec.ts`];
const CREATING = [`${PAYMENT}/create-payment/create-payment.int.spec.ts`];
const PROVIDER = [`${PAYMENT}/provider/simulated-provider.int.spec.ts`];
const RECONCILING = [`${PAYMENT}/reconcile-payments/reconcile-payments.int.spec.ts`];

/** Money is captured once, sent back once, and never without the shop knowing. */
export const MONEY: readonly Mutant[] = [
  ...slipsIn(`${PAYMENT}/domain/payment-state.ts`, 'webhooks', STATES, [
    ['of-another-currency', 'fact.currency !== state.currency ||', ''],
    ['of-another-amount', '|| (fact.amountMinor !== state.amountMinor && !isPart)', ''],
    ['a-part-ends-the-order', "if (isPart) return { anomaly: 'partial-refund' };", ''],
    [
      'a-capture-again-is-news',
      "return state.payment === 'SUCCEEDED' ? 'nothing' : 'capture';",
      "return 'capture';",
    ],
    [
      'a-decline-undoes-a-capture',
      "return state.payment === 'PENDING' ? 'decline' : 'nothing';",
      "return 'decline';",
    ],
    [
      'money-after-a-decline-is-lost',
      "return state.payment === 'SUCCEEDED' ? 'nothing' : 'capture';",
      "return state.payment === 'PENDING' ? 'capture' : 'nothing';",
    ],
    [
      'a-refund-again-is-news',
      "return state.refund === 'REQUESTED' ? 'refunded' : 'nothing';",
      "return 'refunded';",
    ],
    [
      'a-refund-before-its-capture-is-done',
      "? 'refunded-by-provider' : 'too-early';",
      "? 'refunded-by-provider' : 'nothing';",
    ],
    [
      'a-refund-that-nobody-asked-for-is-nothing',
      "? 'refunded-by-provider' : 'too-early';",
      "? 'nothing' : 'too-early';",
    ],
    ['a-dispute-is-a-refund', "if (fact.type === 'dispute.opened') return { anomaly: 'dispute' };", ''],
  ]),
  ...slipsIn(
    `${PAYMENT}/domain/webhook-signature.ts`,
    'webhooks',
    [`${PAYMENT}/domain/webhook-signature.spec.ts`],
    [
      ['of-any-age', 'if (Math.abs(nowMs / 1000 - seconds) > TOLERANCE_SECONDS) return false;', ''],
      ['of-the-future', 'Math.abs(nowMs / 1000 - seconds)', '(nowMs / 1000 - seconds)'],
      ['under-a-new-time', '.update(`${timestampSeconds}.`).update(rawBody)', '.update(rawBody)'],
      [
        'of-anybody',
        "return timingSafeEqual(expected, Buffer.from(signature, 'hex'));",
        "return expected.length === Buffer.from(signature, 'hex').length;",
      ],
    ],
  ),
  ...slipsIn(`${PAYMENT}/accept-webhook/payment-webhook.controller.ts`, 'webhooks', WEBHOOKS, [
    ['without-a-signature', 'if (!isSignedWebhook(', 'if (false && !isSignedWebhook('],
    [
      'signed-over-what-was-parsed',
      'const rawBody = request.rawBody ?? Buffer.alloc(0);',
      'const rawBody = Buffer.from(JSON.stringify(request.body ?? null));',
      { specs: [...WEBHOOKS, ...ODD] },
    ],
  ]),
  ...slipsIn(`${PAYMENT}/accept-webhook/accept-webhook.ts`, 'webhooks', WEBHOOKS, [
    ['that-were-known-have-effects', 'if (payment.known_event) return;', '', { specs: RACING }],
    [
      'that-come-together-twice-undo-their-batch',
      'captures.set(payment.id, { ...each, payment });',
      'captures.set(each.webhook.eventId, { ...each, payment });',
    ],
    [
      'of-an-unknown-payment-are-taken',
      'if (ageMs < FOREIGN_AFTER_MS) throw paymentNotFound(webhook.paymentId);',
      '',
      { specs: [...WEBHOOKS, ...ODD] },
    ],
    [
      'of-a-foreign-payment-come-for-ever',
      "await this.record('foreign-payment', webhook);",
      'throw paymentNotFound(webhook.paymentId);',
      { specs: ODD },
    ],
    [
      'a-lost-race-is-the-end',
      'if (error instanceof WriteRaceLost) return false;',
      'if (error instanceof WriteRaceLost) return true;',
    ],
    [
      'a-lost-race-fails',
      'if (!(error instanceof WriteRaceLost)) throw error;',
      'throw error;',
      { specs: RACING },
    ],
    ['anomalies-are-not-recorded', 'await this.record(effect.anomaly, webhook);', '', { specs: ODD }],
    [
      'a-refund-by-the-provider-is-not-recorded',
      "await this.record('refund-by-provider', webhook);",
      '',
      { specs: ODD },
    ],
    [
      'a-refund-by-the-provider-changes-nothing',
      "await this.book.adoptRefund(payment);\n        return 'look-again';",
      "return 'nothing';",
      { specs: ODD },
    ],
    [
      'a-refund-before-its-capture-is-forgotten',
      'throw paymentNotCaptured(webhook.paymentId);',
      "return 'nothing';",
      { specs: ODD },
    ],
    [
      'news-of-the-others-of-a-batch-are-lost',
      "(isCaptured && captures.get(payments[index]?.id ?? '')?.webhook === webhook)",
      'isCaptured',
    ],
    [
      'a-capture-tells-the-time-of-the-capture',
      'succeededAt: at, capturedAt: webhook.occurredAt })',
      'succeededAt: webhook.occurredAt, capturedAt: webhook.occurredAt })',
    ],
    [
      'a-decline-tells-the-time-of-the-decline',
      'failedAt: at }),',
      'failedAt: webhook.occurredAt }),',
      { specs: RACING },
    ],
    [
      'a-refund-tells-the-time-of-the-refund',
      'refundedAt: at,',
      'refundedAt: webhook.occurredAt,',
      { specs: RACING },
    ],
  ]),
  ...slipsIn(`${PAYMENT}/accept-webhook/payment-book.ts`, 'webhooks', WEBHOOKS, [
    [
      'are-written-after-the-deadline',
      'WHERE t.status = ANY($5::text[]) AND (SELECT in_time.is_so FROM in_time)',
      'WHERE t.status = ANY($5::text[])',
    ],
    ['move-what-has-moved-on', 'WHERE t.status = ANY($5::text[]) AND', 'WHERE ($5::text[] IS NOT NULL) AND'],
    [
      'half-of-a-batch-is-written',
      'SELECT event_id, payment_id, type FROM w WHERE (SELECT count(*) FROM locked) = $7::int',
      'SELECT event_id, payment_id, type FROM w',
    ],
    ['a-lost-race-passes-for-done', 'if (changed !== webhooks.length) throw new WriteRaceLost();', ''],
    [
      'an-event-twice-is-a-failure',
      'if (isUniqueViolation(error)) throw new WriteRaceLost({ cause: error });',
      '',
      { specs: RACING },
    ],
    [
      'a-refund-is-settled-twice',
      "from: ['REQUESTED'], to: 'SUCCEEDED' }",
      "from: ['REQUESTED', 'SUCCEEDED'], to: 'SUCCEEDED' }",
      { specs: RACING },
    ],
  ]),
  ...slipsIn(`${PAYMENT}/accept-webhook/webhook-anomalies.ts`, 'webhooks', ODD, [
    ['anomalies-count-again', 'if (stored === 0) throw new WriteRaceLost();', ''],
    ['anomalies-are-not-counted', 'this.counter.inc({ kind });\n      const', 'const'],
    ['anomalies-are-not-told', "kind !== 'unknown-type'", 'false'],
    ['what-nobody-needs-is-told', "kind !== 'unknown-type'", 'true'],
  ]),
  ...slipsIn(
    `${PAYMENT}/accept-webhook/read-webhook.ts`,
    'webhooks',
    [`${PAYMENT}/accept-webhook/read-webhook.spec.ts`],
    [
      ['an-unknown-type-is-unreadable', "? 'unknown-type'", "? 'unreadable'"],
      ['a-foreign-name-is-unreadable', "? 'foreign-payment'", "? 'unreadable'"],
    ],
  ),
  ...slipsIn(`${PAYMENT}/check-back/payment.check-back.ts`, 'check-back', WEBHOOKS, [
    [
      'commits-a-batch-of-which-one-is-captured',
      'return captured === paymentIds.length;',
      'return captured > 0;',
    ],
    [
      'sees-one-capture-of-a-batch',
      'const paymentIds = captured.map(({ paymentId }) => paymentId);',
      'const paymentIds = captured.slice(0, 1).map(({ paymentId }) => paymentId);',
    ],
    [
      'takes-any-payment-for-captured',
      "where: { id: { in: [...paymentIds] }, status: 'SUCCEEDED' },",
      'where: { id: { in: [...paymentIds] } },',
    ],
    [
      'never-waits-for-a-payment',
      'hasEnded: () => writesHaveEnded(this.database, at)',
      'hasEnded: async () => at !== undefined',
    ],
    [
      'takes-a-refund-asked-for-as-done',
      "?.status === 'SUCCEEDED';",
      '?.status !== undefined;',
      { specs: [...WEBHOOKS, ...ODD] },
    ],
  ]),
  ...slipsIn(`${PAYMENT}/create-payment/create-payment.ts`, 'one-payment', CREATING, [
    [
      'a-second-while-one-is-captured',
      "WHERE NOT EXISTS (SELECT 1 FROM payments AS s WHERE s.order_no = p.order_no AND s.status = 'SUCCEEDED')",
      '',
    ],
    [
      'another-for-a-paid-order',
      "if (payments.some((payment) => payment.status === 'SUCCEEDED')) throw orderNotPayable(orderNo);",
      '',
    ],
    ['another-each-time', 'if (current !== undefined) return current;', ''],
    [
      'one-that-was-not-written-is-answered',
      'return isWritten ? { paymentId, intentId } : undefined;',
      'return { paymentId, intentId };',
    ],
    [
      'the-intent-of-another-payment',
      'reference: paymentId, amountMinor, currency',
      'reference: randomUUID(), amountMinor, currency',
      { specs: [...CREATING, ...PROVIDER] },
    ],
  ]),
  ...slipsIn(
    `${PAYMENT}/request-refund/request-refund.ts`,
    'refunds',
    [...PROVIDER, ...WEBHOOKS],
    [
      ['each-repeat-is-another-refund', 'idempotencyKey: refund.id', 'idempotencyKey: randomUUID()'],
      [
        'of-what-was-never-captured',
        "if (payment.status !== 'SUCCEEDED') throw paymentNotCaptured(payment.id);",
        '',
      ],
      [
        'of-an-unknown-payment-is-done',
        'if (payment === null) throw paymentNotFound(request.paymentId);',
        'if (payment === null) return;',
      ],
      [
        'is-asked-for-when-it-is-done',
        "if (refund.status === 'REQUESTED') {",
        'if (refund) {',
        { specs: RECONCILING },
      ],
      ['every-repeat-is-answered', 'if (request.unanswered !== true) return;', '', { specs: RECONCILING }],
    ],
  ),
  ...slipsIn(
    `${PAYMENT}/ask-provider/hear-events.ts`,
    'hear-events',
    [`${PAYMENT}/ask-provider/hear-events.int.spec.ts`],
    [
      [
        'before-their-webhook-is-overdue',
        'if (webhook && Math.abs(this.ageMs(webhook)) < this.config.RECONCILE_AFTER_MS) return true;\n',
        '',
      ],
      ['one-dated-ahead-holds-up-the-others', 'Math.abs(this.ageMs(webhook))', 'this.ageMs(webhook)'],
      ['older-than-what-is-known', 'if (this.ageMs(webhook) >= MAX_AGE_MS) return true;\n', ''],
      ['again-what-its-webhook-told', ' || payment.known_event', ''],
      [
        'none-behind-one-that-fails',
        "return kindOf(error) !== 'transient' || isOfOnePayment(error);",
        'return false;',
      ],
      [
        'none-behind-one-that-nobody-can-read',
        'webhook === undefined || (await this.take(webhook, news))',
        'webhook !== undefined && (await this.take(webhook, news))',
      ],
      ['what-failed-never-again', 'this.failed.add(webhook);\n', ''],
    ],
  ),
  ...slipsIn(
    `${PAYMENT}/ask-provider/ask-provider.ts`,
    'ask-provider',
    [`${PAYMENT}/ask-provider/ask-provider.int.spec.ts`],
    [
      ['never-about-a-capture', 'return [...capture];', 'return [];'],
      ['never-about-a-refund', "return [...capture, 'refund.succeeded'];", 'return [...capture];'],
      ['never-about-a-decline', "return ours === 'PENDING' ? ['payment.failed'] : [];", 'return [];'],
      ['again-and-again', 'AND coalesce(p.asked_at < now() - greatest(w.pause, w.age / 10), true)', ''],
      ['not-about-what-failed-here', "(p.status IN ('PENDING', 'FAILED') OR", "(p.status = 'PENDING' OR"],
      ['never-again-about-parts', 'OR parts.at IS NOT NULL)', 'OR parts.at IS DISTINCT FROM parts.at)'],
      ['by-every-process-at-once', 'LIMIT $3::int FOR UPDATE OF p SKIP LOCKED)', 'LIMIT $3::int)'],
    ],
  ),
  ...slipsIn(`${PAYMENT}/provider/refund-book.ts`, 'refunds', PROVIDER, [
    [
      'the-provider-ignores-keys',
      'if (await this.isDone(intent, amountMinor, idempotencyKey)) return;',
      '',
      {
        equivalent:
          'The key is unique where the refund is written, and is asked for again when that was refused: this line spares the try.',
      },
    ],
    [
      'the-provider-forgets-keys',
      'refund AS (\n           INSERT INTO provider_refunds (key, intent_id, amount_minor) SELECT $2, id, $3::bigint FROM moved)',
      'refund AS (SELECT $2::text)',
    ],
    ['more-than-was-captured', 'AND refunded_minor + $3::bigint <= amount_minor', ''],
    ['of-what-was-not-captured', "WHERE id = $1 AND status = 'CAPTURED' AND", 'WHERE id = $1 AND'],
    ['a-key-of-something-else', 'if (!isSame) throw keyReused(`The key ${key}`);', ''],
    [
      'parts-never-make-a-whole',
      "WHEN amount_minor THEN 'REFUNDED' ELSE status END",
      "WHEN -1 THEN 'REFUNDED' ELSE status END",
    ],
  ]),
  ...slipsIn(`${PAYMENT}/provider/provider-book.ts`, 'provider', PROVIDER, [
    ['a-reference-of-another-amount', 'intent.amountMinor === amountMinor &&', ''],
    [
      'a-double-click-captures-twice',
      'WHERE i.id = m.id AND i.status = m.current\n         RETURNING',
      'WHERE i.id = m.id\n         RETURNING',
      {
        equivalent:
          'The rows were chosen and locked by the same condition a moment before; it is asked twice so that the update reads right on its own.',
      },
    ],
  ]),
  ...slipsIn(
    `${PAYMENT}/provider/intent-state.ts`,
    'provider',
    [`${PAYMENT}/provider/intent-state.spec.ts`],
    [
      [
        'what-is-paid-can-be-declined',
        "throw new DomainError('PAYMENT_ALREADY_CAPTURED', 'conflict', 'The money has been captured.');",
        'return undefined;',
      ],
      [
        'who-was-declined-cannot-try-again',
        "return outcome === 'succeed' ? 'CAPTURED' : undefined;",
        'return undefined;',
      ],
    ],
  ),
  ...slipsIn(`${PAYMENT}/provider/webhooks/webhook-dispatcher.ts`, 'provider', PROVIDER, [
    [
      'gives-a-webhook-up',
      'await this.queue.postpone(id, retryDelayMs(attempts));',
      'this.answered.push(id);',
    ],
    ['takes-any-answer-for-a-yes', 'if (response.statusCode < 300) {', 'if (response.statusCode > 0) {'],
  ]),
  ...slipsIn(`${PAYMENT}/reconcile-payments/payment-rules.ts`, 'reconciliation', RECONCILING, [
    ['payments-that-were-answered', 'AND (p.answered_at IS NULL OR p.answered_at < p.updated_at)', ''],
    ['payments-that-are-young', 'AND p.updated_at < $1::timestamptz', 'AND $1::timestamptz IS NOT NULL'],
    [
      'payments-that-are-refunded',
      'AND NOT EXISTS (SELECT 1 FROM refunds AS r WHERE r.payment_id = p.id)',
      '',
    ],
    ['payments-that-were-not-captured', "WHERE p.status = 'SUCCEEDED' AND", 'WHERE'],
    ['a-payment-again-as-if-for-the-first-time', 'unanswered: true,\n', ''],
    [
      'payments-again-and-again',
      "'UPDATE payments SET reconciled_at = $1::timestamptz WHERE id = ANY($2::uuid[])'",
      "'UPDATE payments SET reconciled_at = NULL WHERE $1::timestamptz IS NOT NULL AND id = ANY($2::uuid[])'",
    ],
  ]),
  ...slipsIn(`${PAYMENT}/reconcile-payments/order-paid.consumer.ts`, 'reconciliation', RECONCILING, [
    [
      'answers-are-not-noted',
      'UPDATE payments SET answered_at = clock_timestamp()',
      'UPDATE payments SET answered_at = NULL',
    ],
  ]),
  ...slipsIn(
    'libs/contracts/src/money.ts',
    'money-shown',
    ['libs/contracts/src/money.spec.ts'],
    [
      ['yen-have-cents', 'base === 10 ? exponent : 2,', '2,'],
      ['ariary-have-fifths', 'base === 10 ? exponent : 2,', 'exponent,'],
      ['small-amounts-lose-their-zeros', "padStart(decimals + 1, '0')", "padStart(1, '0')"],
    ],
  ),
];
