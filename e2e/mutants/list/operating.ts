import { slipsIn, type Mutant } from '../mutant.js';

const KIT = 'libs/service-kit/src';
const OPS = 'apps/ops/src';
const SERVICE = [`${OPS}/ops.int.spec.ts`];
const REDRIVING = [`${OPS}/redrive-dead-letters/redrive-dead-letters.spec.ts`];
const FAULTS = [`${KIT}/database/database-error.int.spec.ts`];
const ORDER_STORE = ['apps/order/src/order-store/order-store.int.spec.ts'];
const BATCHER = [`${KIT}/batching/batcher.spec.ts`];
const RECONCILIATION = [`${KIT}/reconciliation/reconciliation.spec.ts`];
const BOOT = [`${KIT}/boot.int.spec.ts`];
const REDIS = [`${KIT}/redis/redis.int.spec.ts`];

/** What keeps the promises when stores and people fail: fences, stores that hang, dead letters, health. */
export const OPERATING: readonly Mutant[] = [
  ...slipsIn(`${KIT}/database/write-deadline.ts`, 'fences', ORDER_STORE, [
    [
      'the-deadline-is-that-of-the-arrival',
      'SELECT clock_timestamp() < ${at}::timestamptz',
      'SELECT now() < ${at}::timestamptz',
    ],
    [
      'a-check-back-does-not-look-for-writers',
      "AND pg_try_advisory_xact_lock(${lockOf('$1::text')}) AS ended",
      'AND true AS ended',
    ],
    [
      'a-writer-does-not-say-that-it-is-at-work',
      'under_way AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(${lockOf(at)})),',
      'under_way AS MATERIALIZED (SELECT 1),',
    ],
    [
      'all-writes-have-ended',
      'return answer?.ended === true;',
      'return answer !== undefined;',
      { specs: [...ORDER_STORE, 'apps/order/src/check-back/order-check-back.int.spec.ts'] },
    ],
    [
      'writers-of-one-instant-wait-for-each-other',
      'pg_advisory_xact_lock_shared',
      'pg_advisory_xact_lock',
      {
        equivalent:
          'Two writers of the very same millisecond and message would wait for each other: slower, and as right.',
      },
    ],
  ]),
  ...slipsIn(`${KIT}/database/database-error.ts`, 'unclear-outcomes', FAULTS, [
    [
      'a-broken-connection-proves-nothing-written',
      "!['08', '57', '58', 'F0', 'XX']",
      "!['57', '58', 'F0', 'XX']",
    ],
    ['a-shutdown-proves-nothing-written', "!['08', '57', '58', 'F0', 'XX']", "!['08', '58', 'F0', 'XX']"],
    [
      'a-fatal-error-proves-nothing-written',
      "if (severity === 'FATAL' || severity === 'PANIC') return false;",
      '',
    ],
    ['a-timed-out-statement-proves-nothing', "if (sqlState === '57014') return true;", ''],
    [
      'no-answer-proves-nothing-written',
      "if (sqlState === undefined) return kind === 'DatabaseNotReachable';",
      'if (sqlState === undefined) return true;',
    ],
    [
      'a-connection-never-made-proves-nothing',
      "if (sqlState === undefined) return kind === 'DatabaseNotReachable';",
      'if (sqlState === undefined) return false;',
    ],
    [
      'a-duplicate-is-not-known',
      "sqlState === UNIQUE_VIOLATION || prismaCode === 'P2002'",
      "prismaCode === 'P2002'",
    ],
    ['a-mistake-is-an-outage', 'return UNAVAILABLE_SQL_STATE.test(sqlState);', 'return true;'],
    [
      'a-shutdown-is-a-mistake',
      '/^(08|28|3D|53|57|55P03|25P03|25P04)/',
      '/^(08|28|3D|53|55P03|25P03|25P04)/',
    ],
    ['a-lock-timeout-is-a-mistake', '|55P03|', '|'],
  ]),
  ...slipsIn(
    `${KIT}/database/prisma-inbox.ts`,
    'inbox',
    [`${KIT}/database/prisma-inbox.int.spec.ts`],
    [
      ['a-duplicate-is-handled', "if (inserted === 0) return 'duplicate' as const;", ''],
      ['the-effect-is-outside', 'await work(tx as Tx);', 'void work(tx as Tx);'],
      [
        'one-group-for-all',
        'VALUES ($1, $2) ON CONFLICT DO NOTHING',
        'VALUES (left($1, 0), $2) ON CONFLICT DO NOTHING',
      ],
      ['a-duplicate-fails', ' ON CONFLICT DO NOTHING', ''],
    ],
  ),
  ...slipsIn(
    `${KIT}/database/row-retention.ts`,
    'retention',
    [`${KIT}/database/prisma-inbox.int.spec.ts`, ...SERVICE],
    [
      ['forgets-what-is-young', 'this.clock.now() - keepDays * DAY_MS', 'this.clock.now()'],
      ['forgets-nothing', 'WHERE ${since} < $1::timestamptz', 'WHERE ${since} < $1::timestamptz AND false'],
    ],
  ),
  ...slipsIn(`${KIT}/batching/batcher.ts`, 'batches', BATCHER, [
    ['too-many-at-once', 'this.waiting.splice(0, this.maxItems)', 'this.waiting.splice(0)'],
    ['of-another-length-pass', 'if (results.length !== batch.length) {', 'if (false as boolean) {'],
    ['at-once-beside-each-other', 'if (!this.isWorking) this.start();', 'this.start();'],
  ]),
  ...slipsIn(`${KIT}/reconciliation/reconciliation.ts`, 'reconciliation', RECONCILIATION, [
    ['repairs-without-an-end', 'found.filter(({ wasRepaired }) => !wasRepaired)', 'found.filter(() => true)'],
    [
      'marks-before-it-repairs',
      'await rule.repair(lost);',
      'await rule.mark(keysOf(lost));\n      await rule.repair(lost);',
    ],
    [
      'does-not-mark',
      '// A crash before this line repeats the repair, which is harmless.\n      await rule.mark(keysOf(lost));',
      '',
    ],
    [
      'one-rule-stops-the-others',
      'await Promise.allSettled(this.rules.map',
      'await Promise.all(this.rules.map',
    ],
    ['a-failed-round-is-silent', 'if (failed !== undefined) throw failed.reason;', ''],
    [
      'unresolved-ones-are-not-counted',
      "this.cases.inc({ rule: rule.name, outcome: 'unresolved' }, unresolved.length);",
      '',
    ],
  ]),
  ...slipsIn(`${KIT}/redis/redis.ts`, 'redis-link', REDIS, [
    ['commands-wait-for-ever', 'commandTimeout: COMMAND_TIMEOUT_MS,', ''],
    ['a-silent-link-is-kept', 'socketTimeout: SILENCE_TIMEOUT_MS,', ''],
    ['commands-are-kept-for-the-next-connection', 'maxRetriesPerRequest: 0,', 'maxRetriesPerRequest: 20,'],
    ['a-replica-is-kept', 'return isOfReplica(error);', 'return false;'],
  ]),
  ...slipsIn(
    `${KIT}/redis/redis-failures.ts`,
    'redis-link',
    [...REDIS, `${KIT}/problem/unavailable.int.spec.ts`],
    [
      [
        'a-command-without-an-answer-is-a-bug',
        "error.name === 'MaxRetriesPerRequestError' || UNANSWERED.has(error.message)",
        "error.name === 'MaxRetriesPerRequestError'",
      ],
      [
        'a-refusal-is-a-bug',
        'error instanceof Error && (isRefusal(error) || isUnanswered(error))',
        'error instanceof Error && isUnanswered(error)',
      ],
      [
        'a-redis-that-only-reads-is-ready',
        "await redis.set(`ready:${name}`, '1', 'PX', 60_000);",
        'await redis.ping();',
      ],
    ],
  ),
  ...slipsIn(
    `${KIT}/problem/unavailable.ts`,
    'redis-link',
    [`${KIT}/problem/unavailable.int.spec.ts`],
    [
      [
        'redis-away-is-a-500',
        'isDatabaseUnavailable(error) || isRedisFailure(error)',
        'isDatabaseUnavailable(error)',
        { specs: REDIS },
      ],
      [
        'postgres-away-is-a-500',
        'isDatabaseUnavailable(error) || isRedisFailure(error)',
        'isRedisFailure(error)',
      ],
    ],
  ),
  ...slipsIn(
    `${KIT}/health/health.ts`,
    'health',
    [`${KIT}/health/health.spec.ts`],
    [
      ['ready-while-it-stops', "if (this.draining) return { service: 'is shutting down' };", ''],
      ['a-check-that-hangs-holds-up-the-answer', 'await Promise.race([check, deadline]);', 'await check;'],
      [
        'alive-while-it-hangs',
        "if (hangs.length > 0) throw new HttpProblem(503, 'NOT_LIVE', hangs.join('; '));",
        '',
      ],
      ['ready-whatever-is-away', 'if (failures.length > 0) {', 'if (failures.length > 100) {'],
    ],
  ),
  ...slipsIn(`${KIT}/boot.ts`, 'drains', BOOT, [
    ['the-port-closes-at-once', 'if (drainMs > 0) await setTimeoutAsync(drainMs);', ''],
    ['ready-until-the-end', 'health.drain();', ''],
    ['consumers-are-cut-off', 'await app.get(MessagingServer).close();', ''],
    [
      'clients-keep-their-connections',
      "if (health.isDraining) void reply.header('connection', 'close');",
      '',
    ],
    [
      'open-responses-keep-it-for-ever',
      'setTimeout(() => app.getHttpServer().closeAllConnections(), HTTP_DRAIN_MS)',
      'setTimeout(() => undefined, HTTP_DRAIN_MS)',
    ],
  ]),
  ...slipsIn(
    `${KIT}/config.ts`,
    'settings',
    [`${KIT}/config.spec.ts`],
    [
      [
        'a-short-secret-in-production',
        'else if (secret.length < MIN_PRODUCTION_SECRET_CHARS) {',
        'else if (secret.length < 1) {',
      ],
      [
        'a-published-secret-in-production',
        'if (PUBLISHED_SECRET.test(secret)) refusePublished(name, context);',
        'if (secret === name) refusePublished(name, context);',
      ],
      [
        'a-published-password-in-production',
        "if (PUBLISHED_SECRET.test(new URL(env.DATABASE_URL ?? 'none:').password)) {",
        'if (false as boolean) {',
      ],
      [
        'times-without-a-bound',
        '.min(min).max(max);',
        '.min(min);',
        { specs: [`${KIT}/config.spec.ts`, 'e2e/settings.spec.ts'] },
      ],
    ],
  ),
  ...slipsIn(
    `${OPS}/redrive-dead-letters/redrive-dead-letters.ts`,
    'dead-letters',
    [...REDRIVING, ...SERVICE],
    [
      [
        'a-redrive-without-a-bound',
        'Math.min(MAX_PER_CALL, ratePerSecond * MAX_SECONDS_PER_CALL)',
        'ratePerSecond * MAX_SECONDS_PER_CALL',
      ],
      [
        'a-dry-run-is-none',
        'if (dryRun) return { count: await this.store.count(filter) };',
        '',
        { specs: SERVICE },
      ],
      [
        'what-was-not-given-back-counts',
        'if (await this.giveBack(letter, actor)) count += 1;',
        'await this.giveBack(letter, actor);\n      count += 1;',
      ],
      [
        'the-row-goes-first',
        'const given = await this.broker.admin.redrive(letter.group, letter.messageId);',
        "await this.store.resolve(letter, 'REDRIVEN', { actor, detail: '', done: true });\n    const given = await this.broker.admin.redrive(letter.group, letter.messageId);",
      ],
      ['a-letter-is-redriven-twice', "if (letter.status !== 'DEAD') throw deadLetterResolved(id);", ''],
      [
        'who-asked-is-not-noted',
        '{ actor, detail: about(letter, given), done: given }',
        "{ actor: '', detail: about(letter, given), done: given }",
        { specs: SERVICE },
      ],
    ],
  ),
  ...slipsIn(
    `${OPS}/domain/alert.ts`,
    'alerts',
    [`${OPS}/domain/alert.spec.ts`],
    [
      ['at-one-more', 'if (deadLetters >= thresholds.count) {', 'if (deadLetters > thresholds.count) {'],
      [
        'never-by-the-ratio',
        'thresholds.ratio !== undefined && share > 0',
        'thresholds.ratio === null && share > 0',
      ],
      ['never-end', '&& !names.has(name)', '&& false'],
      ['end-alerts-about-other-things', 'name.startsWith(prefix) && ', ''],
    ],
  ),
  ...slipsIn(
    `${OPS}/domain/dead-letter.ts`,
    'dead-letters',
    [`${OPS}/domain/dead-letter.spec.ts`],
    [
      ['of-two-groups-are-one', '.update(`${group}\\0${messageId}`)', '.update(`${messageId}`)'],
      ['with-the-headers-of-their-death', '.filter(([name]) => !name.startsWith(DEATH_HEADERS))', ''],
      [
        'that-postgres-refuses-are-lost',
        "error: storable(said('error') ?? ''),",
        "error: said('error') ?? '',",
      ],
    ],
  ),
  ...slipsIn(
    `${OPS}/domain/standstill.ts`,
    'standstill',
    [`${OPS}/domain/standstill.spec.ts`],
    [
      ['is-told-at-once', 'if (nowMs - sinceMs < STANDSTILL_MS) return [];\n', ''],
      ['of-what-waits-for-its-next-try', 'if (lag <= retrying) return [];', 'if (lag === 0) return [];'],
      ['of-a-group-that-gives-up', 'acked + deadLetters + positions', 'acked + positions'],
      ['of-a-group-that-works', 'before?.done === done ? before', 'before ? before'],
      [
        'that-fires-begins-anew-with-ops',
        'before === undefined && firingNames.includes(STANDSTILL_PREFIX + group)',
        'before === undefined && firingNames.length < 0',
      ],
      [
        'counts-times-without-work',
        'this.standing = standing;',
        'for (const [group, each] of standing) this.standing.set(group, each);',
      ],
    ],
  ),
  ...slipsIn(
    `${OPS}/redrive-dead-letters/edit-dead-letter.ts`,
    'edits',
    [`${OPS}/redrive-dead-letters/edit-dead-letter.int.spec.ts`],
    [
      [
        'two-at-once-cross',
        'return this.store.exclusively(id, async (database) => {',
        'return this.store.exclusively(`${id} ${Math.random()}`, async (database) => {',
      ],
      ['of-what-was-given-back', "if (letter.status !== 'DEAD') throw deadLetterResolved(id);\n", ''],
      [
        'that-the-broker-did-not-make',
        'if (!(await this.tell(letter, edit))) throw deadLetterResolved(id);',
        'await this.tell(letter, edit);',
      ],
      [
        'that-no-message-may-be-are-an-outage',
        "if (error instanceof MessagingError && error.kind === 'invalid')",
        'if (error instanceof MessagingError && error.kind === undefined)',
      ],
      ['are-not-told-to-the-row', 'await this.store.edit(letter, edit, actor, database);\n', ''],
    ],
  ),
];
