import { slipsIn, type Mutant } from '../mutant.js';

const ORDER = 'apps/order/src';
const STATES = [`${ORDER}/domain/order-state.spec.ts`];
const STORE = [`${ORDER}/order-store/order-store.int.spec.ts`];
const PLACING = [`${ORDER}/place-orders/place-orders.int.spec.ts`];
const SETTLING = [`${ORDER}/settle-payment/settle-payment.int.spec.ts`];
const CONSUMERS = [`${ORDER}/change-orders/order-consumers.int.spec.ts`];
const CHECK_BACK = [`${ORDER}/check-back/order-check-back.int.spec.ts`];
const RECONCILING = [`${ORDER}/reconcile-orders/reconcile-orders.int.spec.ts`];
const CANCELLING = [`${ORDER}/cancel-order/cancel-order.int.spec.ts`];
const SERVICE = [`${ORDER}/order-service.int.spec.ts`];
const ANNOUNCING = [`${ORDER}/change-orders/announcement.spec.ts`];

/** Every order ends one way, once, and everybody hears of it. */
export const ORDERS: readonly Mutant[] = [
  ...slipsIn(`${ORDER}/domain/order-state.ts`, 'order-states', STATES, [
    [
      'a-cancelled-order-is-paid',
      "order.cancelReason === 'buyer'\n        ? change({ to: 'REFUNDING', paymentId, reason: 'cancelled-by-buyer' })\n        : { do: 'reacquire-stock' },",
      "({ do: 'reacquire-stock' }),",
    ],
    [
      'the-buyers-own-cancellation-is-paid-late',
      "order.cancelReason === 'buyer'\n        ? impossible(order, event)\n        : change({ to: 'PAID', paymentId: event.paymentId, reacquired: true }),",
      "change({ to: 'PAID', paymentId: event.paymentId, reacquired: true }),",
    ],
    [
      'a-second-payment-is-kept',
      "? nothing()\n    : { do: 'refund-payment', reason: 'paid-twice', giveBackStock: false };",
      '? nothing()\n    : nothing();',
    ],
    [
      'the-same-payment-again-goes-back',
      'const refundSecond = (order: OrderState, event: { paymentId: string }): Decision =>\n  event.paymentId === order.paymentId',
      "const refundSecond = (order: OrderState, event: { paymentId: string }): Decision =>\n  event.paymentId === ''",
    ],
    [
      'tickets-of-a-second-late-payment-are-kept',
      "reason: 'paid-twice', giveBackStock: true }",
      "reason: 'paid-twice', giveBackStock: false }",
    ],
    ['tickets-of-a-refunded-order-are-kept', "? { do: 'give-back-stock' }\n    :", '? nothing()\n    :'],
    [
      'a-rejected-order-keeps-the-money',
      "'payment-succeeded': () => ({\n      do: 'refund-payment',\n      reason: 'order-rejected',\n      giveBackStock: false,\n    }),",
      "'payment-succeeded': nothing,",
    ],
    [
      'a-refund-before-its-payment-is-done',
      "// The payment itself is about to come, and must not find an order that it can still pay.\n    'payment-refunded': wait,",
      "'payment-refunded': nothing,",
    ],
    [
      'a-refused-paid-order-stays',
      ": change({ to: 'REFUNDING', paymentId: order.paymentId, reason: 'ledger-refused' }),",
      ': nothing(),',
    ],
    [
      'a-refused-unpaid-order-stays',
      "'stock-refused': () => change({ to: 'REJECTED', reason: 'ledger-refused' }),",
      "'stock-refused': nothing,",
    ],
    [
      'a-paid-order-times-out',
      "'stock-not-reacquired': refundSecond,\n    'payment-timed-out': nothing,\n    'cancelled-by-buyer': notCancellable,\n    // What",
      "'stock-not-reacquired': refundSecond,\n    'payment-timed-out': cancel('payment-timeout'),\n    'cancelled-by-buyer': notCancellable,\n    // What",
    ],
    ['money-back-at-the-provider-keeps-the-tickets', 'ticketsReturned: true })', 'ticketsReturned: false })'],
    [
      'money-back-of-another-payment-ends-the-order',
      "paymentId === order.paymentId\n        ? change({ to: 'REFUNDED', paymentId, ticketsReturned: true })\n        : nothing(),",
      "change({ to: 'REFUNDED', paymentId, ticketsReturned: true }),",
    ],
    [
      'another-refund-ends-this-one',
      "paymentId === order.paymentId\n        ? change({ to: 'REFUNDED', paymentId, ticketsReturned: false })\n        : nothing(),",
      "change({ to: 'REFUNDED', paymentId, ticketsReturned: false }),",
    ],
    [
      'a-free-refused-order-is-refunded',
      "order.paymentId === undefined\n        ? change({ to: 'REJECTED', reason: 'ledger-refused' })\n        : change",
      "order.paymentId === ''\n        ? change({ to: 'REJECTED', reason: 'ledger-refused' })\n        : change",
    ],
    [
      'cancelling-twice-is-refused',
      "(order.cancelReason === 'buyer' ? nothing() : notCancellable())",
      'notCancellable()',
    ],
  ]),
  ...slipsIn(
    `${ORDER}/order-store/order-store.ts`,
    'order-writes',
    [...STORE, ...PLACING],
    [
      ['after-the-deadline', '         WHERE (SELECT in_time.is_so FROM in_time)`', '         `'],
      [
        'a-change-after-the-deadline',
        ' AND (SELECT in_time.is_so FROM in_time)\n         ORDER BY o.order_no',
        '\n         ORDER BY o.order_no',
      ],
      ['a-change-of-what-has-moved-on', 'WHERE o.status = c.current AND', 'WHERE', { specs: STORE }],
      ['half-of-a-batch', 'AND (SELECT count(*) FROM locked) = $7::int`', '`', { specs: STORE }],
      [
        'in-any-order',
        'ORDER BY o.order_no FOR UPDATE OF o)',
        'FOR UPDATE OF o)',
        {
          specs: STORE,
          equivalent:
            'Over a small table Postgres reads the rows as they lie, in whichever order the batch names them; the clause makes a promise of it for every plan.',
        },
      ],
      ['a-lost-change-passes-for-done', 'if (changed !== updates.length) throw new WriteRaceLost();', ''],
      ['a-late-insert-passes-for-done', 'if (written !== orders.length) throw new WriteRaceLost();', ''],
      [
        'a-duplicate-is-a-failure',
        'if (isUniqueViolation(error)) throw new WriteRaceLost({ cause: error });',
        '',
      ],
      [
        'the-payment-is-not-remembered',
        'payment_id = coalesce(c.payment_id::uuid, o.payment_id),',
        '',
        { specs: [...STORE, ...SETTLING] },
      ],
      [
        'the-payment-is-forgotten-later',
        'coalesce(c.payment_id::uuid, o.payment_id)',
        'c.payment_id::uuid',
        {
          equivalent:
            'Every change of an order that has a payment names it; the clause is for changes that do not know of it.',
        },
      ],
      [
        'every-page-from-the-start',
        'where: { buyerId, ...after },',
        'where: { buyerId },',
        { specs: SERVICE },
      ],
      ['everybodys-orders', 'where: { buyerId, ...after },', 'where: { ...after },', { specs: SERVICE }],
    ],
  ),
  ...slipsIn(`${ORDER}/place-orders/place-orders.ts`, 'placing', PLACING, [
    ['a-lost-hold-is-written', "if (answers[index] === 'gone') lost.add(orderNo);", ''],
    ['without-a-claim', 'const lost = await this.claimHolds(unwritten);', 'const lost = new Set<string>();'],
    [
      'a-duplicate-in-a-batch-is-two',
      'const distinct = [...new Map(submitted.map((order) => [order.orderNo, order])).values()];',
      'const distinct = submitted;',
    ],
    [
      'without-a-timer',
      'envelope(\n      PaymentTimeout,\n      { orderNo },\n      { deliverAtMs: Date.parse(payBefore), timerId: paymentTimeoutTimerId(orderNo) },\n    ),',
      '',
    ],
    [
      'a-timer-that-nobody-can-take-back',
      '{ deliverAtMs: Date.parse(payBefore), timerId: paymentTimeoutTimerId(orderNo) }',
      '{ deliverAtMs: Date.parse(payBefore) }',
      { specs: SERVICE },
    ],
    ['a-free-order-waits-for-payment', "if (status !== 'PENDING_PAYMENT')", "if (status === 'REJECTED')"],
    ['the-end-of-the-sale-is-no-end-of-paying', 'Math.min(timeoutMs, Date.parse(saleEndsAt))', 'timeoutMs'],
    [
      'free-tickets-go-to-the-provider',
      "return order.totalMinor === 0 ? 'PAID' : 'PENDING_PAYMENT';",
      "return 'PENDING_PAYMENT';",
    ],
    [
      'paid-tickets-are-free',
      "return order.totalMinor === 0 ? 'PAID' : 'PENDING_PAYMENT';",
      "return order.totalMinor < 10_000 ? 'PAID' : 'PENDING_PAYMENT';",
    ],
    [
      'a-free-order-without-its-hold-is-paid',
      "if (lost.has(order.orderNo)) return 'REJECTED';",
      "if (lost.has(order.orderNo) && order.totalMinor > 0) return 'REJECTED';",
    ],
    [
      'a-lost-race-is-the-end',
      'if (error instanceof WriteRaceLost) return false;',
      'if (error instanceof WriteRaceLost) return true;',
    ],
    ['one-order-of-a-type-is-claimed', 'else orderNos.push(orderNo);', ''],
  ]),
  ...slipsIn(
    `${ORDER}/change-orders/change-orders.ts`,
    'order-changes',
    [...SETTLING, ...CONSUMERS],
    [
      [
        'a-lost-race-counts',
        'if (error instanceof WriteRaceLost) return false;',
        'if (error instanceof WriteRaceLost) return true;',
      ],
      ['timers-are-left', 'await this.recallTimers(steps);', ''],
      [
        'an-order-twice-in-a-batch-is-decided-once',
        '!seen.has(orderNo) && seen.add(orderNo)',
        'seen.add(orderNo)',
      ],
      [
        'outcomes-of-others',
        'now.forEach(({ index }, position) => (outcomes[index] = settled[position]));',
        'now.forEach((_each, position) => (outcomes[position] = settled[position]));',
      ],
      [
        'one-contested-order-fails-its-batch',
        'if (happenings.length > 1) return this.settleOneByOne(happenings);',
        'if (happenings.length > 1) throw orderContested(happenings[0]!.orderNo);',
      ],
    ],
  ),
  ...slipsIn(`${ORDER}/change-orders/announcement.ts`, 'order-changes', SETTLING, [
    ['a-refund-of-another-amount', 'amountMinor: order.totalMinor,', 'amountMinor: order.totalMinor - 1,'],
    [
      'a-late-payment-is-told-as-one-in-time',
      'reacquired: change.reacquired,',
      'reacquired: false,',
      { specs: ANNOUNCING },
    ],
    ['tickets-that-came-back-are-not-told', 'ticketsReturned: change.ticketsReturned,', ''],
    [
      'an-answer-again-as-in-time',
      "const reacquired = before?.status === 'CANCELLED';",
      'const reacquired = false;',
      { specs: ANNOUNCING },
    ],
    [
      'an-answer-again-with-another-time',
      "{ to: 'PAID', paymentId, reacquired }, entry.at)",
      "{ to: 'PAID', paymentId, reacquired }, new Date().toISOString())",
      { specs: ANNOUNCING },
    ],
  ]),
  ...slipsIn(
    `${ORDER}/check-back/order.check-back.ts`,
    'check-back',
    [...CHECK_BACK, ...PLACING],
    [
      ['commits-when-one-claim-holds', 'return claims.every((claim) =>', 'return claims.some((claim) =>'],
      [
        'sees-one-message',
        'const claims = messages.flatMap((message) => claimOf(message) ?? []);',
        'const claims = messages.slice(0, 1).flatMap((message) => claimOf(message) ?? []);',
      ],
      ['decides-what-is-not-ours', "if (claims.length === 0) return 'unknown';", ''],
      ['never-waits', 'if (!(await writesHaveEnded(this.database, at))) return false;', ''],
    ],
  ),
  ...slipsIn(
    `${ORDER}/check-back/claim.ts`,
    'check-back',
    [`${ORDER}/check-back/claim.spec.ts`],
    [
      ['takes-the-same-status-of-another-write', '&& entry.at === claim.at', ''],
      ['takes-another-status-of-the-same-instant', 'entry.status === claim.status && ', ''],
      [
        'knows-no-refund-requests',
        "claimBy(RefundRequested, (message) => ['REFUNDING', message.requestedAt]),",
        '',
      ],
      [
        'knows-no-cancellations',
        "claimBy(OrderCancelled, (message) => ['CANCELLED', message.cancelledAt]),",
        '',
      ],
    ],
  ),
  ...slipsIn(`${ORDER}/settle-payment/settle-payment.ts`, 'late-payment', SETTLING, [
    [
      'keeps-money-of-a-sold-out-order',
      "case 'not-enough':\n      case 'gone':\n        return this.changeOrders.one(orderNo, { type: 'stock-not-reacquired', paymentId, why: 'sold-out' });",
      "case 'not-enough':\n      case 'gone':\n        return undefined;",
    ],
    [
      'does-not-wait-for-the-rollback',
      "throw new DomainError(\n          'STOCK_NOT_RELEASED',",
      "if (orderNo) return this.changeOrders.one(orderNo, { type: 'stock-not-reacquired', paymentId, why: 'sold-out' });\n        throw new DomainError(\n          'STOCK_NOT_RELEASED',",
    ],
    ['keeps-the-tickets-of-a-second-one', 'if (decision.giveBackStock) await this.giveBack(order);', ''],
    [
      'keeps-the-tickets-of-a-refunded-order',
      "case 'give-back-stock':\n        return this.giveBack(order);",
      "case 'give-back-stock':\n        return undefined;",
    ],
    ['gives-back-as-a-rollback', "[order], 'refused');", "[order], 'rollback');"],
    ['one-that-fails-stops-the-others', 'failures.push(error);', 'throw error;'],
    ['a-failure-is-swallowed', 'if (failures.length > 0) throw failures[0];', ''],
    [
      'a-payment-before-its-order-is-done',
      'if (outcome === undefined) throw orderNotFound(payment.orderNo);',
      'if (outcome === undefined) return;',
    ],
    [
      'answers-for-another-payment',
      'if (order.paymentId !== paymentId) return;',
      '',
      {
        specs: RECONCILING,
        equivalent:
          'Nothing is decided only of the payment that the order has; the line says so where it is read.',
      },
    ],
    [
      'never-answers-again',
      'payment.unanswered === true ? this.answerAgain(payment, order) : undefined',
      'undefined',
      { specs: RECONCILING },
    ],
    [
      'answers-every-replay',
      'payment.unanswered === true ?',
      'true ?',
      { specs: [...SETTLING, ...RECONCILING] },
    ],
  ]),
  ...slipsIn(`${ORDER}/expire-order/payment-timeout.consumer.ts`, 'early-messages', CONSUMERS, [
    ['a-timeout-before-its-order-is-done', 'if (missing !== undefined) throw orderNotFound(missing);', ''],
  ]),
  ...slipsIn(`${ORDER}/finish-refund/payment-refunded.consumer.ts`, 'early-messages', CONSUMERS, [
    [
      'a-refund-before-its-order-is-done',
      'if (outcome === undefined) throw orderNotFound(orderNo);',
      'if (outcome === undefined) return;',
    ],
    [
      'a-refund-before-its-payment-is-done',
      "if (outcome.decision.do === 'wait') throw paymentNotSeen(orderNo);",
      '',
    ],
  ]),
  ...slipsIn(`${ORDER}/reject-order/stock-deducted.consumer.ts`, 'early-messages', CONSUMERS, [
    [
      'the-ledgers-refusal-never-reaches-the-order',
      "payload.outcome === 'refused'",
      "payload.outcome !== 'refused' && payload.outcome !== 'deducted'",
    ],
    [
      'deductions-reject-orders',
      "deliveries.filter(({ payload }) => payload.outcome === 'refused')",
      'deliveries',
    ],
    ['a-refusal-before-its-order-is-done', 'if (missing !== undefined) throw orderNotFound(missing);', ''],
  ]),
  ...slipsIn(`${ORDER}/cancel-order/cancel-order.ts`, 'access', CANCELLING, [
    ['anybody-cancels-an-order', 'if (order.buyerId !== buyerId) throw orderNotFound(orderNo);', ''],
    [
      'whatever-cannot-be-cancelled-is',
      "if (outcome?.decision.do === 'refuse') {",
      'if (false as boolean) {',
    ],
    [
      'a-queued-order-of-anybody-is-told',
      "return hold?.buyerId === buyerId && hold.state !== 'released'",
      "return hold !== undefined && hold.state !== 'released'",
    ],
  ]),
  ...slipsIn(`${ORDER}/read-orders/read-orders.controller.ts`, 'access', SERVICE, [
    [
      'anybody-reads-an-order',
      'if (order?.buyerId !== user.userId) throw orderNotFound(orderNo);',
      'if (order === undefined) throw orderNotFound(orderNo);',
    ],
    ['a-page-without-a-next', 'found.length > query.limit &&', 'found.length > query.limit + 1 &&'],
  ]),
  ...slipsIn(`${ORDER}/reconcile-orders/order-rules.ts`, 'reconciliation', RECONCILING, [
    [
      'cancels-orders-in-time',
      'new Date(clock.now() - afterMs),\n        new',
      'new Date(clock.now() + afterMs * 100),\n        new',
    ],
    [
      'repairs-again-and-again',
      "'UPDATE orders SET reconciled_at = $1::timestamptz WHERE order_no = ANY($2::text[])'",
      "'UPDATE orders SET reconciled_at = NULL WHERE $1::timestamptz IS NOT NULL AND order_no = ANY($2::text[])'",
    ],
    ['asks-for-the-refund-as-if-for-the-first-time', '{ ...payload, unanswered: true }', '{ ...payload }'],
    ['never-reports-again', ' OR reconciled_at < $3::timestamptz)', ' OR $3::timestamptz IS NULL)'],
    [
      'takes-what-is-repaired-for-new',
      'coalesce(reconciled_at >= updated_at, false) AS "wasRepaired"',
      'false AS "wasRepaired"',
    ],
    [
      'refunds-that-are-young',
      "...cases(dependencies, 'REFUNDING', 'updated_at'),",
      "...cases({ ...dependencies, afterMs: -1e9 }, 'REFUNDING', 'updated_at'),",
    ],
  ]),
];
