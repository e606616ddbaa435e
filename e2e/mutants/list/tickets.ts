import { slipsIn, type Mutant } from '../mutant.js';

const REDIS = 'libs/redis-stock/src';
const SCRIPTS = [`${REDIS}/redis-stock.int.spec.ts`];
const STOCK = 'apps/stock/src';
const MOVES = [`${STOCK}/domain/movements.spec.ts`];
const FACTS = [`${STOCK}/move-stock/order-facts.spec.ts`];
const MOVING = [`${STOCK}/move-stock/move-stock.int.spec.ts`];
const REBUILDING = [`${STOCK}/rebuild-stock/rebuild-stock.int.spec.ts`];
const SERVICE = [`${STOCK}/stock.int.spec.ts`];
const LISTING = [`${STOCK}/list-shows/list-shows.int.spec.ts`];

/** No ticket is sold twice, none is lost, in Redis and in the ledger. */
export const TICKETS: readonly Mutant[] = [
  ...slipsIn(`${REDIS}/lua/reserve.lua`, 'reserve', SCRIPTS, [
    ['goes-by-the-clock-of-the-caller', 'timeMs(ARGV[4])', '1763688920000'],
    ['sells-the-ticket-below-zero', 'if free < quantity then', 'if free < 0 then'],
    ['keeps-the-last-ticket', 'if free < quantity then', 'if free <= quantity then'],
    ['passes-the-limit', 'if bought + quantity >', 'if quantity >'],
    ['limit-off-by-one', 'if bought + quantity >', 'if bought + quantity >='],
    [
      'does-not-charge-the-buyer',
      "redis.call('HSET', KEYS[4], ARGV[2], bought + quantity)",
      "redis.call('HSET', KEYS[4], ARGV[2], bought)",
    ],
    ['sells-before-the-sale', 'if tonumber(counter[7]) > nowMs', 'if tonumber(counter[7]) < 0'],
    ['sells-after-the-sale', 'if tonumber(counter[10]) <= nowMs', 'if tonumber(counter[10]) <= 0'],
    ['sells-at-the-very-end', 'if tonumber(counter[10]) <= nowMs', 'if tonumber(counter[10]) < nowMs'],
    [
      'sells-what-nobody-verified',
      'if counter[1] ~= ARGV[6] or not counter[10] then',
      'if not counter[10] then',
    ],
    [
      'sells-counters-without-an-end',
      'if counter[1] ~= ARGV[6] or not counter[10] then',
      'if counter[1] ~= ARGV[6] then',
    ],
    ['takes-again-on-a-replay', 'if known then\n  local state', 'if false then\n  local state'],
    ['does-not-remember-the-replay', "'|1|' .. buyer)", "'|0|' .. buyer)"],
    ['replay-keeps-the-old-expiry', "redis.call('ZADD', KEYS[3], dueMs, number)", ''],
    ['hold-without-expiry', "redis.call('ZADD', KEYS[3], dueMs, ARGV[1])", ''],
    ['held-is-not-counted', "'held', tonumber(counter[3]) + quantity", "'held', tonumber(counter[3])"],
    ['answers-yesterday-for-ever', 'then known = false end', 'then known = known end'],
    ['forgets-the-other-numbers', 'for index = 8, #ARGV do', 'for index = 9, #ARGV do'],
  ]),
  ...slipsIn(`${REDIS}/lua/claim.lua`, 'claim', SCRIPTS, [
    ['of-a-released-hold', "elseif not state or state == 'r' then", 'elseif not state then'],
    ['of-an-unknown-hold', "elseif not state or state == 'r' then", "elseif state == 'r' then"],
    ['leaves-it-to-the-reaper', "redis.call('HSET', KEYS[2], orderNo, 'c' .. string.sub(value, 2))", ''],
    ['keeps-its-expiry', "redis.call('ZREM', KEYS[3], orderNo)", ''],
    ['without-counters', "if redis.call('EXISTS', KEYS[1]) == 0 then return {-1} end", ''],
    [
      'does-not-move-the-queue',
      "if claimed > 0 then redis.call('HINCRBY', KEYS[1], 'settled', claimed) end",
      '',
    ],
  ]),
  ...slipsIn(`${REDIS}/lua/mark-sold.lua`, 'mark-sold', SCRIPTS, [
    ['counts-twice', "if hold.state == 's' or hold.state == 'a' then", "if hold.state == 's' then"],
    ['revives-a-released-hold', "elseif hold.state == 'r' and target == 's' then", 'elseif false then'],
    ['does-not-charge-what-it-adopts', 'charge(KEYS[4], hold.buyer, hold.quantity)', ''],
    ['adopts-without-taking', 'free = free - hold.quantity', ''],
    ['keeps-the-tombstone', "redis.call('ZREM', KEYS[5], orderNo)", ''],
    ['keeps-it-held', 'held = held - hold.quantity', ''],
    ['keeps-the-expiry-of-an-unclaimed-one', "redis.call('ZREM', KEYS[3], orderNo)", ''],
  ]),
  ...slipsIn(`${REDIS}/lua/release.lua`, 'release', SCRIPTS, [
    [
      'ends-a-later-life',
      'rollback = { h = true, c = true, s = true },',
      'rollback = { h = true, c = true, s = true, a = true },',
    ],
    [
      'keeps-a-refused-reacquisition',
      'refused = { h = true, c = true, s = true, a = true },',
      'refused = { h = true, c = true, s = true },',
    ],
    [
      'takes-a-claimed-hold-from-the-order-service',
      'unclaimed = { h = true },',
      'unclaimed = { h = true, c = true },',
    ],
    ['takes-a-replayed-hold', "(ARGV[1] == 'unclaimed' and hold.replayed == '1')", 'false'],
    [
      'twice',
      "elseif hold.state == 'r' then\n    answer = 2",
      "elseif hold.state == 'x' then\n    answer = 2",
    ],
    ['without-the-limit', 'charge(KEYS[4], hold.buyer, -hold.quantity)', ''],
    [
      'without-a-tombstone',
      'if leavesTombstone then bury(orderNo, hold)',
      'if false then bury(orderNo, hold)',
    ],
    ['without-a-tombstone-of-the-unknown', 'if leavesTombstone and quantity > 0 then', 'if false then'],
    ['does-not-free', 'free = free + hold.quantity', ''],
    ['keeps-the-expiry', "redis.call('ZREM', KEYS[3], orderNo)", ''],
  ]),
  ...slipsIn(`${REDIS}/lua/reacquire.lua`, 'reacquire', SCRIPTS, [
    ['takes-more-than-are-free', 'if tonumber(counter[1]) < hold.quantity then return 2 end', ''],
    ['passes-the-limit', 'if bought + hold.quantity > tonumber(counter[2]) then return 2 end', ''],
    [
      'after-the-sale',
      'if tonumber(counter[3]) <= math.min(nowMs, tonumber(ARGV[3]) or nowMs) then return 5 end',
      '',
    ],
    ['of-who-paid-in-time-is-refused', 'math.min(nowMs, tonumber(ARGV[3]) or nowMs)', 'nowMs'],
    ['after-the-session-began', 'if tonumber(counter[4] or counter[3]) <= nowMs then return 5 end', ''],
    ['takes-twice', "if hold.state == 'a' then return 1 end", ''],
    ['before-the-rollback', "if hold.state ~= 'r' then return 3 end", ''],
    ['does-not-charge', 'charge(KEYS[3], hold.buyer, hold.quantity)', ''],
    ['is-forgotten-as-a-tombstone', "redis.call('ZREM', KEYS[4], ARGV[1])", ''],
  ]),
  ...slipsIn(`${REDIS}/lua/reap.lua`, 'reap', SCRIPTS, [
    ['takes-claimed-holds', "if hold and hold.state == 'h' and", "if hold and hold.state ~= 'r' and"],
    ['takes-holds-before-their-time', ' and tonumber(hold.due) <= tonumber(ARGV[4]) then', ' then'],
    ['leaves-no-tombstone', "redis.call('ZADD', KEYS[5], nowMs, orderNo)", ''],
    ['keeps-the-limit', 'charge(KEYS[4], hold.buyer, -hold.quantity)', ''],
    ['frees-nothing', 'move(KEYS[1], quantity, -quantity, 0)', 'move(KEYS[1], 0, -quantity, 0)'],
    ['forgets-young-tombstones', "'-inf', nowMs - tonumber(ARGV[3]), 'LIMIT'", "'-inf', '+inf', 'LIMIT'"],
  ]),
  ...slipsIn(
    `${REDIS}/lua/rebuild.lua`,
    'rebuild',
    [...SCRIPTS, ...REBUILDING],
    [
      ['comes-too-late-and-goes-on', "return redis.error_reply('ERR the rebuild came too late')", ''],
      [
        'loses-a-deduction-to-come',
        "if hold.state == 's' then hold.state = 'c' end",
        "if hold.state == 's' then hold.state = 'r' end",
      ],
      ['ends-a-reacquired-hold', "if not (state == 'r' and hold.state == 'a') then", 'if true then'],
      [
        'counts-one-order-of-a-buyer',
        'buyers[hold.buyer] = (buyers[hold.buyer] or 0) + hold.quantity',
        'buyers[hold.buyer] = hold.quantity',
      ],
      [
        'charges-released-holds',
        'local buyers = {}\nfor',
        'local buyers = {}\nfor _, hold in pairs(holds) do buyers[hold.buyer] = (buyers[hold.buyer] or 0) + hold.quantity end\nfor',
      ],
      ['forgets-expiries', "redis.call('ZADD', KEYS[3], hold.due, orderNo)", ''],
      ['frees-what-is-held', "'free', initial - held - sold", "'free', initial - sold"],
      ['under-no-epoch', "'epoch', ARGV[6])", "'epoch', '')"],
      ['of-another-end-of-sale', "'closesAt', ARGV[8]", "'closesAt', '9999999999999'"],
      ['resets-the-queue', "'settled', accepted - waiting", "'settled', 0"],
      [
        'keeps-old-tombstones',
        'isForgotten = tonumber(hold.due) <= tonumber(ARGV[7])',
        'isForgotten = false',
      ],
    ],
  ),
  ...slipsIn(`${REDIS}/lua/audit.lua`, 'audit', SCRIPTS, [
    ['counts-claimed-as-sold', "if hold.state == 'h' or hold.state == 'c' then", "if hold.state == 'h' then"],
    ['counts-released-as-sold', "elseif hold.state ~= 'r' then", 'else'],
  ]),
  ...slipsIn(`${REDIS}/redis-stock.ts`, 'redis-stock', SCRIPTS, [
    [
      'reserves-under-the-last-run',
      'if (reply[0] === NOT_VERIFIED) this.#store.forget();',
      '',
      { specs: [`${REDIS}/stock-store.int.spec.ts`] },
    ],
    [
      'claims-without-counters-are-gone',
      'if (codes === undefined) throw notReady(ticketTypeId);',
      "if (codes === undefined) return orderNos.map(() => 'gone');",
    ],
    [
      'reacquires-without-counters-are-gone',
      'if (code === NO_COUNTER) throw notReady(ticketTypeId);',
      "if (code === NO_COUNTER) return 'gone';",
    ],
    [
      'unknown-types-are-lost-counters',
      "return isVerified && isMember === 0 ? 'unknown-ticket-type' : 'not-ready';",
      "return 'not-ready';",
    ],
    [
      'lost-counters-are-unknown-types',
      "return isVerified && isMember === 0 ? 'unknown-ticket-type' : 'not-ready';",
      "return 'unknown-ticket-type';",
    ],
    [
      'one-chunk-only',
      'for (let first = 0; first < items.length; first += CHUNK) {\n    const answers',
      'for (let first = 0; first < 1; first += CHUNK) {\n    const answers',
    ],
    [
      'is-verified-by-another-run',
      'epochs[index] !== runId || ends[index] === null',
      'ends[index] === null',
      { specs: REBUILDING },
    ],
    [
      'is-verified-without-an-end',
      'epochs[index] !== runId || ends[index] === null',
      'epochs[index] !== runId',
      { specs: [...SCRIPTS, ...REBUILDING] },
    ],
  ]),
  ...slipsIn(
    `${REDIS}/order-no.ts`,
    'order-number',
    [`${REDIS}/order-no.spec.ts`],
    [
      ['of-any-buyer', 'JSON.stringify([buyerId, idempotencyKey,', 'JSON.stringify([idempotencyKey,'],
      ['of-any-quantity', 'ticketTypeId, quantity, ...day]', 'ticketTypeId, ...day]'],
      [
        'of-any-key',
        'JSON.stringify([buyerId, idempotencyKey, ticketTypeId',
        'JSON.stringify([buyerId, ticketTypeId',
      ],
      ['is-the-same-for-ever', 'quantity, ...day]);', 'quantity]);'],
      [
        'another-after-midnight',
        '[nowMs - SAME_REQUEST_MS, nowMs + CLOCK_DIFFERENCE_MS]',
        '[nowMs + CLOCK_DIFFERENCE_MS]',
      ],
      [
        'another-before-midnight',
        '[nowMs - SAME_REQUEST_MS, nowMs + CLOCK_DIFFERENCE_MS]',
        '[nowMs - SAME_REQUEST_MS]',
      ],
    ],
  ),
  ...slipsIn(
    `${REDIS}/fitness.ts`,
    'fitness',
    [`${REDIS}/fitness.spec.ts`],
    [
      ['takes-an-evicting-redis', "policy.startsWith('allkeys') && Number(read('maxmemory')) > 0", 'false'],
      ['takes-redis-6', '>= LEAST_MAJOR_VERSION);', '>= 6);'],
      ['takes-a-user-who-may-not', 'denied !== undefined && denied.length > 0', 'false'],
      [
        'takes-a-promoted-replica-for-the-same',
        "`${read('run_id')}:${read('master_replid')}`",
        "read('run_id')",
        { specs: [`${REDIS}/fitness.spec.ts`, `${STOCK}/rebuild-stock/failover.int.spec.ts`] },
      ],
    ],
  ),
  ...slipsIn(
    `${REDIS}/stock-store.ts`,
    'fitness',
    [`${REDIS}/stock-store.int.spec.ts`],
    [
      ['writes-to-an-unfit-redis', 'if (refusal === undefined) return fitness;', 'return fitness;'],
      [
        'knows-the-redis-of-the-last-connection',
        'this.#connection += 1;\n      this.forget();',
        'this.#connection += 1;',
        { specs: [`${STOCK}/rebuild-stock/failover.int.spec.ts`] },
      ],
    ],
  ),
  ...slipsIn(`${STOCK}/domain/movements.ts`, 'ledger', MOVES, [
    ['takes-more-than-are-left', 'return quantity <= free ?', 'return true ?'],
    ['refuses-the-last', 'return quantity <= free ?', 'return quantity < free ?'],
    [
      'deducts-twice',
      "return standing === 'unknown' ? take(['DEDUCT'], quantity, free) : NOTHING;",
      "return take(['DEDUCT'], quantity, free);",
    ],
    ['gives-back-twice', "if (standing !== 'sold') return NOTHING;", ''],
    [
      'gives-back-paid-tickets',
      "if (recorded.has('CONFIRM')) throw contradiction('the order is cancelled, but its stock was confirmed');",
      '',
    ],
    [
      'sells-rolled-back-tickets',
      "if (standing === 'rolled-back') throw contradiction('the order is paid, but its stock was rolled back');",
      '',
    ],
    [
      'reacquires-before-the-rollback',
      "if (standing === 'unknown' || standing === 'sold') throw rollbackNotSeen();",
      '',
    ],
    [
      'reacquires-without-asking',
      "return take(['REACQUIRE', 'CONFIRM'], quantity, free);",
      "return { append: ['REACQUIRE', 'CONFIRM'], soldDelta: quantity };",
    ],
    [
      'returns-twice',
      "case 'refused':\n    case 'returned':\n      return NOTHING;",
      "case 'refused':\n      return NOTHING;\n    case 'returned':\n      return { append: [], soldDelta: -quantity };",
    ],
    [
      'returns-without-freeing',
      "return { append: ['RETURN'], soldDelta: -quantity };",
      "return { append: ['RETURN'], soldDelta: 0 };",
    ],
    [
      'confirms-what-was-refused',
      "if (standing === 'refused' || standing === 'returned' || recorded",
      'if (recorded',
    ],
    ['a-refusal-is-not-final', "if (recorded.has('REFUSED')) return 'refused';", ''],
    [
      'a-cancellation-first-takes-tickets',
      "return { append: ['DEDUCT', 'ROLLBACK'], soldDelta: 0 };",
      "return { append: ['DEDUCT', 'ROLLBACK'], soldDelta: -quantity };",
    ],
  ]),
  ...slipsIn(`${STOCK}/move-stock/movement-ledger.ts`, 'ledger', MOVING, [
    [
      'each-order-of-a-batch-sees-all-that-is-free',
      'const free = ticketType.quantity - ticketType.sold - taken;',
      'const free = ticketType.quantity - ticketType.sold;',
    ],
    ['is-not-locked', 'ORDER BY id FOR UPDATE', 'ORDER BY id'],
    [
      'locks-in-any-order',
      'WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE',
      'WHERE id = ANY($1::text[]) FOR UPDATE',
      {
        equivalent:
          'Postgres reads the rows of the primary key in the order of their ids here; the clause makes it a promise.',
      },
    ],
    [
      'takes-an-unknown-type',
      'if (ticketType === undefined) throw ticketTypeNotFound(event.ticketTypeId);',
      'if (ticketType === undefined) continue;',
    ],
    ['total-is-never-moved', 'await addToSold(tx, deltas);', ''],
    ['an-order-of-which-nothing-was-known-is-forgotten', 'known.set(event.orderNo, recorded);\n', ''],
  ]),
  ...slipsIn(`${STOCK}/move-stock/move-stock.ts`, 'ledger', MOVING, [
    ['redis-is-not-told', 'await this.mirror.apply(recorded);', ''],
    [
      'the-shop-is-not-told',
      'recorded.flatMap((event) => announcementsOf(event, at))',
      'recorded.slice(1).flatMap((event) => announcementsOf(event, at))',
    ],
    [
      'told-before-it-is-recorded',
      'const recorded = await this.ledger.record(events);',
      'await this.bus.sendBatch(events.flatMap((event) => announcementsOf({ ...event, recorded: new Set() }, new Date(this.clock.now()).toISOString())));\n    const recorded = await this.ledger.record(events);',
    ],
  ]),
  ...slipsIn(`${STOCK}/move-stock/announcements.ts`, 'ledger', MOVING, [
    ['a-refusal-after-a-late-payment-is-a-duplicate', ':refused:${fact}`;', ':refused`;'],
    ['a-refusal-is-told-as-a-deduction', "outcome: 'refused' }, { id })", "outcome: 'deducted' }, { id })"],
    ['a-repeat-is-another-message', '{ id: `stock.deduct:${orderNo}` }', '{}'],
    ['a-return-is-a-duplicate-of-the-rollback', '`stock.return:${orderNo}`', '`stock.rollback:${orderNo}`'],
  ]),
  ...slipsIn(`${STOCK}/move-stock/stock-mirror.ts`, 'ledger', MOVING, [
    [
      'tickets-of-a-refused-order-are-kept',
      "await this.stock.release(ticketTypeId, standing('refused', 'returned'), 'refused');",
      "await this.stock.release(ticketTypeId, standing('returned'), 'refused');",
    ],
    [
      'tickets-of-a-refused-reacquisition-are-kept',
      "standing('refused', 'returned'), 'refused')",
      "standing('refused', 'returned'), 'rollback', nowMs)",
    ],
    [
      'returned-tickets-are-kept',
      "standing('refused', 'returned')",
      "standing('refused')",
      { specs: SERVICE.concat(MOVING) },
    ],
    [
      'cancelled-tickets-are-kept',
      "await this.stock.release(ticketTypeId, standing('rolled-back'), 'rollback');",
      '',
    ],
    ['reacquired-ones-are-sold-ones', "reacquired: event.recorded.has('REACQUIRE'),", 'reacquired: false,'],
    [
      'one-type-of-a-batch',
      'for (const ticketTypeId of new Set(events.map((event) => event.ticketTypeId))) {',
      'for (const ticketTypeId of [events[0]!.ticketTypeId]) {',
    ],
  ]),
  ...slipsIn(`${STOCK}/return-stock/order-refunded.consumer.ts`, 'ledger', FACTS, [
    ['a-refund-for-want-of-tickets-returns-some', 'payload.ticketsReturned === true', 'true'],
  ]),
  ...slipsIn(`${STOCK}/confirm-stock/order-paid.consumer.ts`, 'ledger', FACTS, [
    [
      'a-late-payment-confirms-without-taking',
      "payload.reacquired ? 'paid-after-cancellation' : 'paid'",
      "'paid'",
    ],
  ]),
  ...slipsIn(`${STOCK}/rebuild-stock/rebuild-stock.ts`, 'rebuild', REBUILDING, [
    ['runs-without-its-lock', 'await lockTicketTypes(tx, [ticketTypeId]);', ''],
    ['takes-a-sync-for-an-order', "AND movement <> 'SYNC' GROUP BY", 'GROUP BY'],
    ['sells-beyond-the-start', '?? Infinity, startsAtMs)', '?? Infinity, Infinity)', { specs: LISTING }],
    [
      'forgets-when-the-sale-ends',
      'ticketType.saleClosesAt?.getTime() ?? Infinity',
      'Infinity',
      { specs: LISTING },
    ],
    ['reacquired-orders-are-released', "reacquired: 'reacquired',", "reacquired: 'released',"],
  ]),
  ...slipsIn(`${STOCK}/rebuild-stock/verify-stock.ts`, 'rebuild', REBUILDING, [
    [
      'opens-the-sale-before-it-is-verified',
      'for (const ticketTypeId of unverified) await this.verify(ticketTypeId);',
      '',
    ],
    [
      'leaves-no-trace',
      "if (mayHaveLost(result)) await this.recordSync.execute(ticketTypeId, 'rebuilt', result);",
      '',
    ],
    [
      'leaves-a-trace-only-of-sold-ones',
      'return before !== undefined || after.sold > 0;',
      'return after.sold > 0;',
    ],
    [
      'of-what-was-emptied-meanwhile',
      'attempt !== undefined && !(await this.stock.setEpoch(runId, attempt))',
      'attempt !== undefined && (await this.stock.setEpoch(runId, await this.stock.beginVerifying())) === undefined',
    ],
    ['stays-verified-over-a-restart', 'this.verified &&= epoch === runId && unverified.length === 0;', ''],
  ]),
  ...slipsIn(
    `${STOCK}/reconcile-stock/reconcile-stock.ts`,
    'reconcile-stock',
    [...REBUILDING, ...SERVICE],
    [
      [
        'repairs-what-is-on-its-way',
        'if (!isStable || !(await this.isQuiet())) return;',
        'if (!isStable) return;',
      ],
      [
        'repairs-at-first-sight',
        'if (!isStable || !(await this.isQuiet())) return;',
        'if (!(await this.isQuiet())) return;',
      ],
      ['never-repairs', 'await this.repair(ticketTypeId, drift);', ''],
      ['claims-a-repair-that-did-not-help', 'if (left && isDrift(left)) {', 'if (false) {'],
    ],
  ),
  ...slipsIn(
    `${STOCK}/domain/drift.ts`,
    'reconcile-stock',
    [`${STOCK}/domain/drift.spec.ts`],
    [
      ['does-not-look-at-sold', 'sold: sold - ledger.sold,', 'sold: 0,'],
      ['does-not-look-at-the-limits', 'Math.abs(holds.charged - held - sold),', ''],
      ['takes-a-moving-drift-for-a-stable-one', 'one?.sold === other.sold &&', 'one !== undefined &&'],
    ],
  ),
  ...slipsIn(`${STOCK}/reap-holds/reap-holds.ts`, 'reap', MOVING, [
    ['goes-by-its-own-clock', 'await this.stock.nowMs();', 'Date.now();'],
    [
      'takes-holds-whose-message-is-in-the-queue',
      'this.stock.reap(ticketTypeId, unsent, progress.doneBeforeMs)',
      'this.stock.reap(ticketTypeId, unsent, Infinity)',
      {
        specs: MOVING,
        equivalent:
          'The list it is given holds only what expired before that moment; the second bound guards against a hold that was replayed in between.',
      },
    ],
    [
      'lists-holds-by-its-own-clock',
      'this.stock.expired(ticketTypeId, progress.doneBeforeMs, MAX_HOLDS, kept)',
      'this.stock.expired(ticketTypeId, Date.now(), MAX_HOLDS, kept)',
    ],
    ['takes-holds-of-dead-letters', '!progress.waiting.has(orderNo)', 'true'],
    [
      'goes-on-when-nobody-can-tell',
      'if (progress === undefined) return;',
      'if (progress === undefined) { await Promise.all(waiting.map((id) => this.reap(id, { doneBeforeMs: nowMs, waiting: new Set() }))); return; }',
    ],
    [
      'stops-behind-kept-holds',
      'kept += expired.length - orderNos.length;',
      '',
      {
        equivalent:
          'Only a thousand kept holds of one type would show it: the next round of the loop reads the same page again and ends when fewer are left.',
      },
    ],
  ]),
  ...slipsIn(
    `${STOCK}/order-queue/order-queue.ts`,
    'reap',
    [`${STOCK}/order-queue/order-queue.int.spec.ts`],
    [
      [
        'overlooks-the-queue',
        'doneBeforeMs: oldestMs === undefined ? nowMs : Math.min(nowMs, oldestMs),',
        'doneBeforeMs: nowMs,',
      ],
      ['overlooks-clocks', 'message.storedAtMs - CLOCK_MARGIN_MS', 'message.storedAtMs'],
      ['goes-by-the-clock-of-the-broker', 'Math.min(hold?.heldAtMs ?? Infinity,', 'Math.min(Infinity,'],
      ['overlooks-retries', 'if (group !== undefined && isRetrying(group)) return undefined;', ''],
      ['overlooks-a-letter-given-back', 'waiting: new Set([...before, ...after]),', 'waiting: new Set(),'],
      ['is-quiet-with-half-messages', 'if (pending > 0 || parked.length > 0) return false;', ''],
      ['is-quiet-with-parked-ones', 'pending > 0 || parked.length > 0', 'pending > 0'],
      [
        'is-quiet-with-dead-letters',
        '&& group.inFlight === 0 && group.deadLetters === 0',
        '&& group.inFlight === 0',
      ],
      ['is-quiet-with-free-orders-on-their-way', "&& (await this.isDone('stock.confirm'))", ''],
    ],
  ),
  ...slipsIn(`${STOCK}/release-orphans/release-orphans.ts`, 'orphans', MOVING, [
    ['at-first-sight', 'orphans.filter((orderNo) => known?.has(orderNo))', 'orphans'],
    ['while-orders-are-on-their-way', '!isSuspected || !(await this.queue.isQuiet())', '!isSuspected'],
    [
      'claimed-a-moment-ago',
      'const orphans = claimed.filter((orderNo) => still.has(orderNo));',
      'const orphans = [...still];',
    ],
    [
      'never',
      "const answers = await this.stock.release(ticketTypeId, orderNos, 'rollback');",
      'const answers: string[] = [];',
    ],
  ]),
  ...slipsIn(
    `${STOCK}/create-show/create-show.ts`,
    'sale-times',
    SERVICE.concat(`${STOCK}/list-shows/list-shows.int.spec.ts`),
    [
      ['a-show-of-the-past', 'if (begun !== undefined) throw alreadyBegun(begun.startsAt);', ''],
      ['a-session-of-the-past', '[show, ...show.sessions].find', '[show].find'],
    ],
  ),
  ...slipsIn(
    `${STOCK}/list-shows/list-shows.ts`,
    'sale-times',
    [`${STOCK}/list-shows/list-shows.int.spec.ts`],
    [
      ['lists-what-is-over', 'startsAt: { gt: new Date(nowMs) }', 'startsAt: { gt: new Date(0) }'],
      [
        'shows-less-than-nothing',
        'Math.max(0, free.get(ticketType.id) ?? ',
        '(free.get(ticketType.id) ?? ',
        {
          equivalent:
            'Free tickets are never below zero by the scripts, nor is what the ledger has left; the bound is for the reader of the contract.',
        },
      ],
    ],
  ),
  ...slipsIn(
    'libs/contracts/src/http/shows.ts',
    'sale-times',
    ['libs/contracts/src/http/shows.spec.ts'],
    [
      ['a-sale-that-ends-after-the-start', 'if (at(saleClosesAt) > at(startsAt))', 'if (false)'],
      ['a-sale-that-opens-after-its-end', 'if (at(saleOpensAt) >= at(saleClosesAt))', 'if (false)'],
      ['a-price-beyond-exact-numbers', 'priceMinor: Minor.max(MAX_PRICE_MINOR),', 'priceMinor: Minor,'],
    ],
  ),
];
