import { slipsIn, type Mutant } from '../mutant.js';

const GATEWAY = 'apps/gateway/src';
const PLACING = [`${GATEWAY}/place-order/place-order.int.spec.ts`];
const DECIDING = [`${GATEWAY}/domain/placing.spec.ts`];
const READING = [`${GATEWAY}/read-order/read-order.int.spec.ts`];
const EVENTS = [`${GATEWAY}/order-events/order-events.int.spec.ts`];
const SIGN_IN = [`${GATEWAY}/auth/auth.int.spec.ts`];
const LIMITS = [`${GATEWAY}/auth/sign-in-limits.int.spec.ts`];
const KIT = 'libs/service-kit/src';
const TOKENS = [`${KIT}/auth/tokens.spec.ts`];
const HTTP = [`${KIT}/http/http.int.spec.ts`];
const MATRIX = ['e2e/access/access-matrix.int.spec.ts'];

/** Who comes in, what they are told, and that a 202 means an order. */
export const EDGE: readonly Mutant[] = [
  ...slipsIn(`${KIT}/auth/auth.guard.ts`, 'access', MATRIX, [
    [
      'nobody-needs-a-token',
      'const user = await authenticate(request.headers.authorization, this.secrets);',
      "const user = await authenticate(request.headers.authorization, this.secrets).catch(() => ({ userId: 'nobody', roles: ['admin', 'service'] }));",
    ],
    [
      'any-role-at-all-opens-an-admin-route',
      '!roles.some((role) => user.roles.includes(role))',
      'user.roles.length === 0',
    ],
    ['no-role-is-asked-for', 'if (roles !== undefined && !roles', 'if (roles === null && !roles'],
    ['every-route-is-public', '=== true) return true;', '!== false) return true;'],
    ['roles-of-a-class-are-not-read', 'REQUIRED_ROLES, targets', 'REQUIRED_ROLES, targets.slice(0, 1)'],
  ]),
  ...slipsIn('apps/ops/src/redrive-dead-letters/redrive-dead-letters.controller.ts', 'access', MATRIX, [
    ['anybody-redrives-and-deletes-dead-letters', "@Roles('admin')\n", ''],
  ]),
  ...slipsIn('apps/ops/src/inspect-dead-letters/inspect-dead-letters.controller.ts', 'access', MATRIX, [
    ['anybody-reads-dead-letters', "@Roles('admin')\n", ''],
  ]),
  ...slipsIn('apps/ops/src/groups/groups.controller.ts', 'access', MATRIX, [
    ['anybody-resets-a-group', "@Roles('admin')\n", ''],
  ]),
  ...slipsIn('apps/ops/src/verdict/verdict.controller.ts', 'access', MATRIX, [
    ['anybody-asks-for-a-verdict', "@Roles('admin')\n", ''],
  ]),
  ...slipsIn('apps/ops/src/audit/audit.controller.ts', 'access', MATRIX, [
    ['anybody-reads-the-audit', "@Roles('admin')\n", ''],
  ]),
  ...slipsIn('apps/ops/src/alerts/alerts.controller.ts', 'access', MATRIX, [
    ['anybody-reads-alerts', "@Roles('admin')\n", ''],
  ]),
  ...slipsIn('apps/ops/src/trace-message/trace-message.controller.ts', 'access', MATRIX, [
    ['anybody-reads-traces', "@Roles('admin')\n", ''],
  ]),
  ...slipsIn('apps/notification/src/mailbox/mailbox.controller.ts', 'access', MATRIX, [
    ['anybody-reads-the-mailbox', "@Roles('admin')\n", ''],
    ['services-read-the-mailbox', "@Roles('admin')", "@Roles('admin', 'service')"],
  ]),
  ...slipsIn('apps/payment/src/create-payment/create-payment.controller.ts', 'access', MATRIX, [
    ['anybody-makes-a-payment-of-any-amount', "@Roles('service')\n", ''],
  ]),
  ...slipsIn('apps/payment/src/provider/intents.controller.ts', 'access', MATRIX, [
    ['anybody-opens-intents-and-refunds', "@Roles('service')\n", ''],
    ['admins-open-intents', "@Roles('service')", "@Roles('service', 'admin')"],
  ]),
  ...slipsIn('apps/payment/src/provider/dashboard.controller.ts', 'access', MATRIX, [
    ['anybody-uses-the-dashboard', "@Roles('service')\n", ''],
  ]),
  ...slipsIn('apps/payment/src/provider/checkout.controller.ts', 'access', MATRIX, [
    ['a-buyer-cannot-pay-without-a-token', '@Public()\n', ''],
  ]),
  ...slipsIn('apps/stock/src/create-show/create-show.controller.ts', 'access', MATRIX, [
    ['anybody-creates-shows', "@Roles('admin')\n", ''],
  ]),
  ...slipsIn('apps/stock/src/list-shows/list-shows.controller.ts', 'access', MATRIX, [
    ['nobody-sees-the-shows', '@Public()\n', ''],
  ]),
  ...slipsIn(`${GATEWAY}/routes/route-table.ts`, 'access', MATRIX, [
    [
      'the-inside-is-outside',
      "{ url: '/api/provider/*', methods: ALL, to: 'payment' },",
      "{ url: '/api/provider/*', methods: ALL, to: 'payment' },\n  { url: '/internal/*', methods: ALL, to: 'payment' },",
    ],
    ['the-mailbox-is-nowhere', "{ url: '/api/ops/mailbox*', methods: ALL, to: 'notification' },", ''],
  ]),
  ...slipsIn(`${KIT}/auth/tokens.ts`, 'access', TOKENS, [
    ['any-algorithm', 'algorithms: [ALGORITHM],', ''],
    ['a-token-without-an-end', "requiredClaims: ['exp'],", ''],
    ['a-token-for-a-lifetime', 'if (livesTooLong(claims)) {', 'if (false as boolean) {'],
    ['a-token-that-was-issued-in-the-future', 'Math.min(iat, now)', 'iat'],
    [
      'a-token-under-an-older-secret-is-refused',
      'const all = secrets.map(keyOf);',
      'const all = secrets.slice(0, 1).map(keyOf);',
    ],
    [
      'a-token-of-others-is-refused',
      'return named === undefined ? all : [named];',
      'return named === undefined ? [] : [named];',
    ],
    [
      'a-token-without-a-subject',
      "typeof sub !== 'string' || sub === '' ||",
      "(sub !== undefined && typeof sub !== 'string') ||",
      { specs: TOKENS },
    ],
    ['a-subject-that-nothing-can-store', '|| UNSTORABLE.test(sub)', ''],
    ['an-endless-subject', '|| sub.length > MAX_SUBJECT_CHARS', ''],
  ]),
  ...slipsIn(`${GATEWAY}/domain/placing.ts`, 'idempotency', DECIDING, [
    ['a-reused-key-buys', 'if (isKeyReused) {', 'if (false as boolean) {'],
    ['a-reused-key-keeps-its-hold', "releaseHold: reservation.outcome === 'reserved'", 'releaseHold: false'],
    [
      'a-reused-key-takes-the-hold-of-another',
      "releaseHold: reservation.outcome === 'reserved'",
      'releaseHold: true',
    ],
    [
      'a-released-hold-is-answered-with-202',
      "case 'released':\n      return { action: 'ask-order-service' };",
      "case 'released':\n      return { action: 'answer' };",
    ],
    [
      'a-held-one-is-not-sent-again',
      "case 'held':\n      return { action: 'submit' };",
      "case 'held':\n      return { action: 'answer' };",
    ],
    [
      'a-written-one-is-sent-again',
      "case 'reacquired':\n      return { action: 'answer' };",
      "case 'reacquired':\n      return { action: 'submit' };",
    ],
  ]),
  ...slipsIn(`${GATEWAY}/place-order/place-order.ts`, 'placing', PLACING, [
    [
      'an-unclear-outcome-gives-the-hold-back',
      "if (error.certainlyNotSent && reservation.outcome === 'reserved')",
      "if (reservation.outcome === 'reserved')",
    ],
    [
      'a-certain-failure-keeps-the-hold',
      "if (error.certainlyNotSent && reservation.outcome === 'reserved')",
      'if (false as boolean)',
    ],
    [
      'a-hold-that-ends-before-its-message-is-stored',
      'Math.max(this.config.HOLD_TIMEOUT_MS, 2 * this.config.SUBMIT_TIMEOUT_MS)',
      'this.config.HOLD_TIMEOUT_MS',
    ],
    [
      'refused-requests-leave-a-key-each',
      '(isGranted(reservation) ? await this.bind(key, reservation.orderNo) : null)',
      "(await this.bind(key, 'orderNo' in reservation ? reservation.orderNo : numbers.orderNo))",
    ],
    [
      'keys-are-bound-for-ever',
      "this.redis.set(key, orderNo, 'PX', SAME_REQUEST_MS, 'NX', 'GET')",
      "this.redis.set(key, orderNo, 'NX', 'GET')",
    ],
    ['a-key-is-bound-anew', "'PX', SAME_REQUEST_MS, 'NX', 'GET')", "'PX', SAME_REQUEST_MS, 'GET')"],
    [
      'keys-are-everybodys',
      'const key = `idem:{${encodeURIComponent(buyerId)}}:${idempotencyKey}`;',
      'const key = `idem:{}:${idempotencyKey}`;',
    ],
    [
      'yesterdays-number-is-another-order',
      'owner !== null && owner !== numbers.orderNo && !numbers.otherOrderNos.includes(owner);',
      'owner !== null && owner !== numbers.orderNo;',
    ],
    [
      'tickets-stay-behind-an-unbound-key',
      "if (reservation.outcome === 'reserved') await this.releaseHold(reservation, 'unclaimed');\n      throw stockUnreachable(error);",
      'throw stockUnreachable(error);',
    ],
    [
      'at-another-price',
      'totalMinor: reservation.unitPriceMinor * quantity,',
      'totalMinor: reservation.unitPriceMinor,',
    ],
    ['202-for-what-was-reaped', '=== undefined) throw holdExpired();', '=== null) throw holdExpired();'],
    [
      'past-the-gate',
      'return this.gate.pass(() => this.place(request, caller));',
      'return this.place(request, caller);',
    ],
  ]),
  ...slipsIn(
    `${GATEWAY}/place-order/submit-order.ts`,
    'placing',
    [`${GATEWAY}/place-order/submit-order.spec.ts`],
    [
      [
        'a-timeout-is-certainly-not-sent',
        "'INVALID_PAYLOAD',\n]);",
        "'INVALID_PAYLOAD',\n  'REQUEST_TIMEOUT',\n]);",
      ],
      ['a-repeat-is-another-message', ', { id: messageIdOf(order.orderNo) })', ')'],
      ['a-full-buffer-is-unclear', "'BUFFER_FULL',\n", ''],
    ],
  ),
  ...slipsIn(`${GATEWAY}/place-order/admission.ts`, 'load', PLACING, [
    ['without-a-bound', 'this.inFlight >= this.config.MAX_IN_FLIGHT_ORDERS', 'false'],
    ['places-are-never-given-back', 'if (this.admitted.delete(request)) this.inFlight -= 1;', ''],
  ]),
  ...slipsIn(
    `${GATEWAY}/place-order/buyer-rate-limit.ts`,
    'load',
    [`${GATEWAY}/routes/routes.int.spec.ts`],
    [
      ['one-limit-for-all', 'await this.limiter?.consume(userId);', "await this.limiter?.consume('all');"],
      ['no-limit', 'await this.limiter?.consume(userId);', 'await Promise.resolve(userId);'],
    ],
  ),
  ...slipsIn(
    `${GATEWAY}/broker-gate/broker-gate.ts`,
    'broker-gate',
    [`${GATEWAY}/broker-gate/broker-gate.spec.ts`],
    [
      [
        'never-shuts',
        "if (error instanceof MessagingError && error.kind === 'transient') this.shut(error);",
        '',
      ],
      [
        'opens-by-a-probe-alone',
        "this.state = 'half-open';\n  }\n\n  private async answers",
        "this.state = 'open';\n  }\n\n  private async answers",
      ],
      ['lets-all-try', "this.state = 'trying';", ''],
      ['never-opens', 'if (this.isTrying()) this.open();', ''],
      ['waits-for-ever', 'Promise.race([send(), deadline])', 'send()'],
      ['stays-in-trying', "if (this.isTrying()) this.state = 'half-open';", ''],
    ],
  ),
  ...slipsIn(`${GATEWAY}/read-order/read-order.ts`, 'access', READING, [
    [
      'anybody-reads-a-queued-order',
      'hold !== undefined && hold.buyerId !== buyerId) throw',
      'hold !== undefined && hold.buyerId === undefined) throw',
    ],
    [
      'a-queued-order-asks-the-order-service',
      "if (hold !== 'unknown' && hold?.state === 'held') return queuedView(hold);",
      '',
    ],
    ['away-redis-is-no-order', "return 'unknown';\n    }", 'return undefined;\n    }'],
  ]),
  ...slipsIn(`${GATEWAY}/pay-order/pay-order.ts`, 'access', READING, [
    [
      'what-is-not-payable-is-paid',
      "if (order.status !== 'PENDING_PAYMENT') throw orderNotPayable(orderNo, order.status);",
      '',
    ],
    ['by-the-buyers-token', 'authorization: `Bearer ${this.serviceToken()}`,', ''],
    ['another-amount', 'amountMinor: order.totalMinor,', 'amountMinor: order.totalMinor + 1,'],
  ]),
  ...slipsIn(`${GATEWAY}/order-events/stream-tokens.ts`, 'access', EVENTS, [
    ['a-stream-token-opens-every-stream', 'allowedAud: [orderNo],', ''],
    [
      'a-stream-token-is-good-for-ever',
      'token: sign({ exp: Math.floor(expiresAtMs / 1000) }),',
      'token: sign({}),',
    ],
    [
      'a-stream-token-is-a-bearer',
      "Buffer.from(hkdfSync('sha256', secret, '', 'stampede stream tokens', 32))",
      'Buffer.from(secret)',
    ],
  ]),
  ...slipsIn(`${GATEWAY}/order-events/order-events.controller.ts`, 'access', EVENTS, [
    [
      'anybody-gets-a-stream-token',
      'await this.readOrder.execute(orderNo, userId, new Caller(request, reply));\n    return',
      'return',
    ],
    [
      'head-answers-anybody',
      'await this.readOrder.execute(orderNo, buyerId, caller);\n      await reply',
      'await reply',
      { specs: [...EVENTS, ...MATRIX] },
    ],
  ]),
  ...slipsIn(`${GATEWAY}/order-events/order-events.ts`, 'streams', EVENTS, [
    ['a-finished-one-is-opened-again', "return 'nothing-to-come';", ''],
    [
      'a-place-is-not-given-back-on-refusal',
      'unsubscribe();\n      leave();\n      throw error;',
      'unsubscribe();\n      throw error;',
    ],
    [
      'a-place-is-not-given-back-at-the-end',
      'leave();\n      this.open.delete(stream);',
      'this.open.delete(stream);',
    ],
    ['what-comes-while-reading-is-lost', 'for (const change of early) stream.tell(change);', ''],
    [
      'what-was-missed-is-not-told',
      'for (const step of order.history) stream.tell({ orderNo: order.orderNo, ...step });',
      ';',
    ],
    ['of-clients-who-left-stay', 'if (response.destroyed) {', 'if (false as boolean) {'],
  ]),
  ...slipsIn(`${GATEWAY}/order-events/order-stream.ts`, 'streams', EVENTS, [
    ['tell-old-news', 'if (this.last !== undefined && !isProgress(this.last, change.status)) return;', ''],
    ['never-end', 'if (endsStream(status)) this.end();', ''],
    ['have-no-ids', '`id: ${status}\\nevent: status', '`event: status'],
    ['are-gathered-by-proxies', "'x-accel-buffering': 'no',", ''],
  ]),
  ...slipsIn(`${GATEWAY}/order-events/stream-slots.ts`, 'streams', EVENTS, [
    ['of-one-user-take-all', 'if (own >= this.bounds.perUser) {', 'if (false as boolean) {'],
    [
      'without-a-bound',
      "if (this.taken >= this.bounds.total) throw overloaded('Too many event streams are open.');",
      '',
    ],
  ]),
  ...slipsIn(
    `${GATEWAY}/upstream/bounded-calls.ts`,
    'upstreams',
    [`${GATEWAY}/upstream/bounded-calls.spec.ts`, `${GATEWAY}/upstream/upstreams.int.spec.ts`],
    [
      [
        'wait-without-a-bound',
        "if (this.waiting.size >= this.bounds.maxWaiting) return Promise.reject(new CallFailed('full'));",
        '',
      ],
      ['run-without-a-bound', 'if (this.running < this.bounds.maxRunning) {', 'if (this.running >= 0) {'],
      [
        'have-no-deadline',
        "setTimeout(end('late'), Math.max(0, deadlineMs - performance.now()))",
        "setTimeout(end('late'), 3_600_000)",
      ],
      ['who-left-is-still-asked-for', "left.addEventListener('abort', leave, { once: true });", ''],
      ['who-gave-up-keeps-waiting', 'this.waiting.delete(begin);\n        reject', 'reject'],
      [
        'places-are-never-free-again',
        "called.then(({ body }) => void body.once('close', ended), ended);",
        '',
      ],
      ['the-next-is-not-called', 'this.waiting.delete(next);\n    next();', 'this.waiting.delete(next);'],
    ],
  ),
  ...slipsIn(
    `${GATEWAY}/upstream/call.ts`,
    'upstreams',
    [`${GATEWAY}/upstream/upstreams.int.spec.ts`, ...READING],
    [
      [
        'deadline-from-each-call',
        'deadlineMs: this.waitingSinceMs + timeoutMs',
        'deadlineMs: performance.now() + timeoutMs',
        {
          equivalent:
            'Differs only by what a request did before its first call: a round trip to Redis, milliseconds of the five seconds.',
        },
      ],
      ['an-upstreams-500-is-ours', '!problem.success || answer.status >= 500', '!problem.success'],
      [
        'who-asks-is-not-said',
        "for (const name of ['authorization', 'x-correlation-id', 'traceparent'] as const) {",
        "for (const name of ['x-correlation-id', 'traceparent'] as const) {",
      ],
    ],
  ),
  ...slipsIn(
    `${GATEWAY}/upstream/upstreams.ts`,
    'health',
    [`${GATEWAY}/upstream/upstreams.int.spec.ts`],
    [['ready-before-its-services', "health.register('services', () => this.allHeard());", '']],
  ),
  ...slipsIn(
    `${GATEWAY}/routes/forward.ts`,
    'upstreams',
    [`${GATEWAY}/routes/routes.int.spec.ts`],
    [
      ['forwarded-for-whom-the-client-says', "headers['x-forwarded-for'] = request.ip;", ''],
      [
        'an-away-service-is-a-500',
        'throw refusalOf(to, request.method, error);',
        'throw new Error(String(error));',
      ],
    ],
  ),
  ...slipsIn(
    `${GATEWAY}/routes/cors.ts`,
    'access',
    [`${GATEWAY}/routes/cors.int.spec.ts`],
    [
      ['pages-of-any-origin', 'origin: this.config.CORS_ORIGINS,', 'origin: true,'],
      ['open-by-default', 'if (this.config.CORS_ORIGINS.length === 0) return;', ''],
    ],
  ),
  ...slipsIn(
    `${GATEWAY}/auth/check-code.lua`,
    'sign-in',
    [...SIGN_IN, ...LIMITS],
    [
      ['tries-are-not-counted', 'code[tries] = code[tries] - 1', ''],
      ['a-code-is-good-for-ever', 'if tonumber(ARGV[2]) >= code.expiresAtMs then', 'if false then'],
      ['a-code-without-tries-is-good', 'elseif code[tries] > 0 then', 'else'],
      [
        'a-strangers-guesses-lock-the-owner-out',
        "code.asker == ARGV[3] and 'askersTries' or 'othersTries'",
        "'askersTries'",
        { specs: LIMITS },
      ],
      [
        'everybody-has-tries-of-their-own',
        "code.asker == ARGV[3] and 'askersTries' or 'othersTries'",
        "code.asker == ARGV[3] and 'askersTries' or 'none'",
        { specs: LIMITS },
      ],
    ],
  ),
  ...slipsIn(`${GATEWAY}/auth/use-code.lua`, 'sign-in', SIGN_IN, [
    ['a-code-opens-ten-sessions', "if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end", ''],
    ['the-other-codes-stay-good', "redis.call('DEL', KEYS[1])\nreturn 1", 'return 1'],
  ]),
  ...slipsIn(`${GATEWAY}/auth/open-session.ts`, 'sign-in', SIGN_IN, [
    ['any-code-is-right', 'if (codeId === undefined) throw codeInvalid();', ''],
    ['a-code-is-used-up-by-a-buyer-who-left', 'if (!hasLeft()) await this.useUp', 'await this.useUp'],
    ['a-code-that-another-used-up-opens-a-session', 'if (!wasGood) throw codeInvalid();', ''],
    [
      'an-unclear-end-of-a-code-keeps-the-buyer-out',
      "'a sign-in code may not have been used up; it ends by itself');\n      return;",
      "'a sign-in code may not have been used up; it ends by itself');\n      throw error;",
    ],
    [
      'a-code-is-used-up-before-the-rest',
      'await this.register(userId, phone.e164);',
      'await this.useUp(phone.e164, codeId);\n    await this.register(userId, phone.e164);',
    ],
    [
      'another-spelling-is-somebody-else',
      'ids.find((_id, n) => registered[n] === 1) ?? userIdOf(digitsOf(e164), keys)',
      'userIdOf(digitsOf(e164), keys)',
    ],
    ['everybody-is-registered-each-time', 'if ((await this.redis.exists(key)) === 1) return;', ''],
    [
      'is-remembered-before-it-is-told',
      'await this.gate.pass(() =>\n      this.gate.send(() => this.bus.send(UserRegistered',
      "await this.redis.set(key, registeredAt, 'NX');\n    await this.gate.pass(() =>\n      this.gate.send(() => this.bus.send(UserRegistered",
    ],
  ]),
  ...slipsIn(`${GATEWAY}/auth/sign-in-limits.ts`, 'sign-in', LIMITS, [
    [
      'no-limit-per-address',
      "await spend(this.codes.address, address, 'Enough codes were asked for from your network.');",
      '',
    ],
    [
      'no-limit-per-phone',
      "await spend(this.codes.phone, isFamiliar ? lane : digits, 'This phone was sent enough codes.');",
      '',
    ],
    ['a-stranger-uses-up-the-owners-codes', 'isFamiliar ? lane : digits', 'digits'],
    [
      'one-stranger-uses-up-the-day',
      "await spend(this.codes.lane, lane, 'This phone was sent enough codes today.');",
      '',
    ],
    ['no-limit-per-range', 'await spend(this.codes.prefix, digits.slice(0, -RANGE_DIGITS), many);', ''],
    [
      'no-limit-per-country',
      'if (phone.country !== this.homeRegion) await',
      'if (phone.country === null) await',
    ],
    ['the-home-country-has-a-limit', 'if (phone.country !== this.homeRegion) await', 'await'],
    [
      'wrong-codes-are-not-counted',
      "await spend([this.wrongCodes], address, 'Too many wrong codes came from your network.');",
      '',
    ],
    [
      'right-codes-count',
      'return async () => void (await this.wrongCodes.reward(address));',
      'return async () => undefined;',
    ],
    ['nobody-is-familiar', "await this.redis.set(familiarKey(lane), '1', 'EX', FAMILIAR_SECONDS);", ''],
  ]),
  ...slipsIn(
    `${GATEWAY}/auth/identities.ts`,
    'sign-in',
    [`${GATEWAY}/auth/identities.int.spec.ts`],
    [
      [
        'a-rotated-secret-makes-everybody-somebody-else',
        "(await this.redis.set(PIN, own, 'NX', 'GET')) ?? own",
        'own',
      ],
      [
        'the-secret-behind-the-ids-may-be-lost',
        'if (keys !== undefined) return keys;',
        'return keys ?? this.candidates[0];',
      ],
      ['previous-secrets-are-not-tried', ', ...service.JWT_SECRET_PREVIOUS.map(identityKeysOf)]', ']'],
    ],
  ),
  ...slipsIn(
    `${GATEWAY}/domain/address-group.ts`,
    'sign-in',
    [`${GATEWAY}/domain/address-group.spec.ts`],
    [
      ['an-ipv6-customer-has-2-to-the-64-addresses', 'const SITE_BITS = 64;', 'const SITE_BITS = 128;'],
      ['an-ipv4-address-has-two-spellings', 'ipaddr.process(address)', 'ipaddr.parse(address)'],
    ],
  ),
  ...slipsIn(
    `${GATEWAY}/domain/phone.ts`,
    'sign-in',
    [`${GATEWAY}/domain/phone.spec.ts`],
    [
      [
        'digits-without-a-plus-are-local',
        'international?.isValid() === true ? international : number',
        'number',
      ],
      ['somebody-elses-digits-are-ones-own', 'if (national === `0${nationalNumber}`) {', 'if (national) {'],
      ['an-extension-is-dropped', ' || number.ext !== undefined', ''],
      ['what-is-copied-along-makes-another-phone', ".replace(UNSEEN, '')", ''],
    ],
  ),
  ...slipsIn(`${KIT}/http/text.ts`, 'text', HTTP, [
    ['a-nul-is-taken', 'const UNSTORABLE = /[\\0\\p{Cs}]/u;', 'const UNSTORABLE = /[\\p{Cs}]/u;'],
    ['half-a-surrogate-is-taken', 'const UNSTORABLE = /[\\0\\p{Cs}]/u;', 'const UNSTORABLE = /[\\0]/u;'],
    [
      'no-utf-8-is-replaced',
      "if (!isUtf8(body)) throw new HttpProblem(400, 'INVALID_REQUEST', 'body: is not UTF-8');",
      '',
    ],
    [
      'paths-are-not-looked-at',
      "done(refusalOf(request.params, 'path') ?? refusalOf(request.query, 'query'));",
      "done(refusalOf(request.query, 'query'));",
    ],
    [
      'queries-are-not-looked-at',
      "refusalOf(request.params, 'path') ?? refusalOf(request.query, 'query')",
      "refusalOf(request.params, 'path')",
    ],
    ['keys-are-not-looked-at', 'open.push(key, each);', 'open.push(each);'],
  ]),
  ...slipsIn(
    `${KIT}/problem/translate.ts`,
    'answers',
    [`${KIT}/problem/translate.spec.ts`, ...HTTP, `${KIT}/problem/unavailable.int.spec.ts`],
    [
      ['what-is-away-is-a-500', 'if (isDependencyAway(error)) {', 'if (false as boolean) {'],
      [
        'a-broker-away-is-a-500',
        "error instanceof MessagingError && error.kind === 'transient'",
        'error instanceof MessagingError && error.kind === undefined',
        { specs: [...HTTP, `${KIT}/problem/unavailable.int.spec.ts`, ...PLACING] },
      ],
      [
        'the-inside-is-told',
        "const detail = error.kind === 'unknown' ? INTERNAL_DETAIL : error.message;",
        'const detail = error.message;',
      ],
      [
        'no-retry-after',
        "error.kind === 'transient' ? retryAfter(error.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS) : undefined;",
        'undefined as Record<string, string> | undefined;',
      ],
      ['too-early', 'Math.max(1, Math.ceil(milliseconds / 1000))', 'Math.floor(milliseconds / 1000)'],
    ],
  ),
  ...slipsIn(
    `${KIT}/http/known-routes.ts`,
    'answers',
    [`${KIT}/http/known-routes.spec.ts`],
    [
      ['every-method-is-unknown', 'allowed.size === 0 || allowed.has(method)', 'true'],
      ['a-parameter-spans-slashes', "return '[^/]+';", "return '.+';"],
    ],
  ),
];
