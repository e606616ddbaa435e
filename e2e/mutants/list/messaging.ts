import { slipsIn, type Mutant } from '../mutant.js';

const LIB = 'libs/messaging/src';
const BUS = [`${LIB}/bus.spec.ts`];
const TRANSACTIONAL = [`${LIB}/bus.spec.ts`, `${LIB}/transactional.int.spec.ts`];
const PIPELINE = [`${LIB}/delivery-pipeline.spec.ts`];
const OUTAGE = [`${LIB}/outage.spec.ts`];
const SERVER = [`${LIB}/messaging.server.spec.ts`];

/** A message is handled at least once and has its effect once, whatever dies or is away. */
export const MESSAGING: readonly Mutant[] = [
  ...slipsIn(`${LIB}/bus.ts`, 'transactional', TRANSACTIONAL, [
    [
      'rolls-back-what-may-be-written',
      "throw this.unknown(fields, error, 'it is left to the check-back');",
      'await this.rollback(pending, producerGroup);\n        throw error;',
    ],
    [
      'an-unclear-outcome-passes-for-done',
      "throw this.unknown(fields, error, 'it is left to the check-back');",
      "this.unknown(fields, error, 'it is left to the check-back');\n        return undefined as T;",
    ],
    [
      'a-failed-write-is-left-to-the-check-back',
      'await this.rollback(pending, producerGroup);\n      throw error;',
      'throw error;',
    ],
    [
      'a-failed-write-passes-for-done',
      'await this.rollback(pending, producerGroup);\n      throw error;',
      'await this.rollback(pending, producerGroup);\n      return undefined as T;',
    ],
    [
      'is-never-committed',
      'await this.commit(pending, producerGroup);\n    return result;',
      'return result;',
    ],
    [
      'is-committed-first',
      'result = await local(undefined);',
      'await this.commit(pending, producerGroup);\n      result = await local(undefined);',
    ],
    ['what-was-dropped-passes-for-sent', 'if (isDropped(error)) throw error;', ''],
    [
      'a-broker-away-at-the-decision-is-an-error',
      "this.leaveToCheckBack(pending, producerGroup, 'commit', error);",
      'throw error;',
    ],
    [
      'the-rollbacks-error-hides-the-cause',
      "this.leaveToCheckBack(pending, producerGroup, 'rollback', error);",
      'throw error;',
    ],
    ['nothing-proves-nothing', 'this.options.provesNothingWritten ?? (() => false)', '() => false'],
    ['everything-proves-nothing-written', 'this.options.provesNothingWritten ?? (() => false)', '() => true'],
    ['without-an-answer-everything-proves-it', '(() => false)', '(() => true)'],
    [
      'one-message-of-a-batch',
      'return confirmed(await this.broker.send(this.seal(envelopes)));',
      'return confirmed(await this.broker.send(this.seal(envelopes.slice(0, 1))));',
    ],
    [
      'takes-a-flush-that-timed-out-for-done',
      'return confirmed(await this.broker.send(this.seal(envelopes)));',
      'return this.broker.send(this.seal(envelopes));',
    ],
  ]),
  ...slipsIn(`${LIB}/local-write.ts`, 'check-back', BUS, [
    ['rolls-back-while-it-may-be-written', "if (!(await write.hasEnded())) return 'unknown';", ''],
    [
      'does-not-look-again',
      "return (await write.isWritten()) ? 'commit' : 'rollback';",
      "return 'rollback';",
    ],
    ['what-is-written-waits-for-its-deadline', "if (await write.isWritten()) return 'commit';\n", ''],
    ['a-lost-race-proves-nothing', 'if (error instanceof WriteRaceLost) return true;', ''],
    [
      'a-transient-failure-proves-nothing-written',
      "return error.kind !== 'transient' && error.kind !== 'unknown';",
      'return true;',
    ],
    ['the-deadline-is-later-than-the-rollback', 'WRITE_DEADLINE_MS = 20_000;', 'WRITE_DEADLINE_MS = 40_000;'],
  ]),
  ...slipsIn(`${LIB}/check-backs.ts`, 'check-back', SERVER, [
    ['sees-one-message-only', 'messages.map(readable)', 'messages.slice(0, 1).map(readable)'],
    ['two-methods-of-a-group', 'const known = found.has(producerGroup);', 'const known = false;'],
  ]),
  ...slipsIn(`${LIB}/delivery-pipeline.ts`, 'delivery', PIPELINE, [
    [
      'acknowledges-before-the-handler',
      'return this.fail(work, error);\n    }\n    await this.ack(work, outcome);',
      "return this.fail(work, error);\n    } finally {\n      await this.ack(work, 'handled');\n    }",
    ],
    [
      'a-lost-lease-is-handled',
      'if (delivered.signal.aborted) {',
      'if (false as boolean) {',
      {
        equivalent:
          'What was lost is left out again right before its handler, and the broker refuses its verdict; this spares the way there.',
      },
    ],
    [
      'takes-the-process-down-for-ever',
      'if (attempt > route.retry.attempts + MAX_LOST_LEASES) {',
      'if (attempt === -1) {',
    ],
    [
      'what-cannot-be-parsed-is-retried',
      "return this.deadLetter({ delivered, startedAtMs }, 'not-parseable', describeError(error), 'invalid');",
      'return delivered.retry({ delayMs: 1, error: describeError(error) });',
    ],
    ['a-newer-version-is-read', 'if (version > contract.version) {', 'if (false as boolean) {'],
    ['without-the-inbox', 'if (route.inbox === undefined) {', 'if (route.takes) {'],
    ['the-handler-writes-outside-the-inbox', 'route.handle({ ...delivery, tx })', 'route.handle(delivery)'],
    [
      'a-batch-that-failed-is-acknowledged',
      'run.failuresInARow++;\n      return { error };',
      "run.failuresInARow++;\n      await Promise.all(batch.map((work) => this.ack(work, 'handled')));\n      return undefined;",
    ],
    [
      'poison-takes-its-batch',
      'if (batch.length === 1 || this.isOutage(batch, failure, run)) {',
      'if (batch.length > 0) {',
    ],
    [
      'hammers-a-dead-database',
      'if (batch.length === 1 || this.isOutage(batch, failure, run)) {',
      'if (batch.length === 1) {',
    ],
    [
      'an-outage-dead-letters-what-was-never-tried-alone',
      'return batch.every(({ delivered }) => triesOf(delivered) < route.retry.attempts);',
      'return true;',
    ],
    ['a-permanent-failure-is-an-outage', "|| (kind !== 'transient' && kind !== 'unknown')", ''],
    ['the-second-half-is-left', '[batch.slice(0, middle), batch.slice(middle)]', '[batch.slice(0, middle)]'],
    [
      'what-was-lost-between-the-halves-is-handled',
      'this.unsettled(work, error);\n          return undefined;',
      'return work;',
      {
        equivalent:
          'A lease that cannot be extended is lost, and what is lost is left out right before the handler.',
      },
    ],
    [
      'a-failure-of-a-lost-lease-is-settled',
      'if (delivered.signal.aborted || error instanceof CircuitStopped) return',
      'if (error instanceof CircuitStopped) return',
      {
        specs: [...PIPELINE, ...OUTAGE],
        equivalent:
          'The broker refuses the verdict of a lost lease, which ends the same way; this spares the call.',
      },
    ],
    [
      'a-dead-letter-is-acknowledged',
      'work.delivered.deadLetter({ reason, error, kind })',
      'work.delivered.ack()',
    ],
    ['a-retry-is-acknowledged', '() => delivered.retry(failure)', '() => delivered.ack()'],
    [
      'an-unsettled-verdict-counts',
      'this.unsettled(work, error);\n      return;\n    }\n    this.ended(work, outcome, reason);',
      '}\n    this.ended(work, outcome, reason);',
    ],
  ]),
  ...slipsIn(`${LIB}/delivery-pipeline.ts`, 'outages', OUTAGE, [
    ['count-as-attempts', 'isUnavailable: this.isUnavailable,', 'isUnavailable: () => false,'],
    ['the-services-own-word-is-not-heard', '(this.parts.isUnavailable?.(error) ?? false)', 'false'],
    [
      'one-of-a-batch-is-all-of-it',
      'error.errors.every(this.isUnavailable)',
      'error.errors.some(this.isUnavailable)',
    ],
    [
      'a-lost-lease-is-handled-after-it',
      "if (delivered.signal.aborted) throw new MessagingError('LEASE_LOST', delivered.message.id);",
      '',
    ],
    [
      'lost-ones-of-a-batch-are-handled-after-it',
      'own.map(({ delivered }) => delivered.message),\n      () => route.handle(own.map(({ delivery }) => delivery)),',
      'own.map(({ delivered }) => delivered.message),\n      () => route.handle(batch.map(({ delivery }) => delivery)),',
    ],
    ['leases-end-meanwhile', '() => this.leases.hold(work.delivered),', '() => undefined,'],
    [
      'leases-of-a-batch-end-meanwhile',
      '() => run.batch.forEach(({ delivered }) => this.leases.renew(delivered)),',
      '() => undefined,',
    ],
    [
      'leases-of-parts-whose-turn-is-to-come-end-meanwhile',
      '() => run.batch.forEach(({ delivered }) => this.leases.renew(delivered)),',
      '() => batch.forEach(({ delivered }) => this.leases.renew(delivered)),',
    ],
    ['are-not-told', 'if (pausedMs > REPORT_PAUSE_AFTER_MS) {', 'if (false as boolean) {'],
    ['a-stop-waits-for-what-is-away', 'this.circuit.stop();', ''],
    [
      'a-hang-is-not-told',
      'if (heldMs <= WEDGED_AFTER_LEASES * leaseMs) return undefined;',
      'if (heldMs >= 0) return undefined;',
    ],
    [
      'slow-is-a-hang',
      'Math.min(heldMs, silentMs) > HANGS_AFTER_LEASES * leaseMs',
      'heldMs > WEDGED_AFTER_LEASES * leaseMs',
    ],
  ]),
  ...slipsIn(`${LIB}/circuit-breaker.ts`, 'outages', OUTAGE, [
    [
      'everybody-tries-at-once',
      'open.probingSinceMs === undefined && this.parts.now() >= open.probeAtMs',
      'this.parts.now() >= open.probeAtMs',
    ],
    ['are-probed-without-a-pause', 'Math.min(2 * pauseMs, MAX_PROBE_PAUSE_MS)', 'FIRST_PROBE_AFTER_MS'],
    ['are-probed-hours-later', 'Math.min(2 * pauseMs, MAX_PROBE_PAUSE_MS)', '2 * pauseMs'],
    [
      'one-message-holds-up-the-others-for-ever',
      'if (this.open === undefined && ++trips > MAX_TRIPS) throw error;',
      '',
    ],
    [
      'never-end',
      'const result = await work(isProbe);\n        this.close();',
      'const result = await work(isProbe);',
    ],
    ['those-who-wait-are-forgotten', 'for (const { go } of this.waiting.splice(0)) go();', ''],
    ['a-wrong-message-stops-the-probing', 'if (isProbe) this.probeIn(0);', ''],
    [
      'who-stops-waits',
      "for (const { stop } of this.waiting.splice(0)) stop(new CircuitStopped('the consumer is closing'));",
      '',
    ],
    ['leases-of-those-in-line-end', 'for (const { keep } of this.waiting) keep();', ''],
    [
      'who-comes-after-the-stop-waits',
      "if (this.isStopped) return Promise.reject(new CircuitStopped('the consumer is closing'));",
      '',
    ],
  ]),
  ...slipsIn(
    `${LIB}/failure.ts`,
    'retries',
    [`${LIB}/failure.spec.ts`],
    [
      ['what-may-be-early-is-done', "'not-found': 'retry',", "'not-found': 'ack',"],
      ['what-is-never-right-is-retried', "invalid: 'reject',", "invalid: 'retry',"],
      ['the-expected-other-outcome-is-retried', "conflict: 'ack',", "conflict: 'retry',"],
      ['one-attempt-more', 'if (attempt >= retry.attempts)', 'if (attempt > retry.attempts)'],
      [
        'a-fenced-producer-is-done',
        "if (kind === 'conflict' && error instanceof MessagingError) return 'unknown';",
        '',
      ],
      [
        'a-failure-that-knows-its-end-is-not-heard',
        'Math.max(retry.delayMs(attempt, random), retryAfterMs(error))',
        'retry.delayMs(attempt, random)',
      ],
      ['a-failed-disk-of-the-broker-is-an-attempt', "'STORAGE_FAILED',\n", ''],
      ['a-full-disk-of-the-broker-is-an-attempt', "'STORAGE_FULL',\n]);", ']);'],
      [
        'a-broker-that-is-away-is-an-attempt',
        "'BROKER_UNAVAILABLE',\n  'REQUEST_TIMEOUT',",
        "'REQUEST_TIMEOUT',",
      ],
    ],
  ),
  ...slipsIn(
    `${LIB}/retry.ts`,
    'retries',
    [`${LIB}/retry.spec.ts`],
    [
      ['all-at-once', '(1 - jitter * random())', '1'],
      [
        'without-a-bound',
        'Math.min(firstDelayMs * factor ** (attempt - 1), maxDelayMs)',
        'firstDelayMs * factor ** (attempt - 1)',
      ],
      ['twice-as-late', 'factor ** (attempt - 1)', 'factor ** attempt'],
      ['from-the-first-level', 'FIRST_RETRY_LEVEL + attempt - 1', 'attempt'],
    ],
  ),
  ...slipsIn(
    `${LIB}/lease-keeper.ts`,
    'leases',
    [`${LIB}/lease-keeper.spec.ts`],
    [
      ['are-not-kept', 'delivered.extend(this.parts.leaseMs).catch', 'Promise.resolve().catch'],
      ['are-kept-for-ever', 'if (nowMs - sinceMs >= MAX_LEASES * this.parts.leaseMs) {', 'if (nowMs < 0) {'],
      [
        'are-kept-after-the-end',
        'this.held.delete(delivered);\n    this.givenUp.delete(delivered);',
        'this.givenUp.delete(delivered);',
      ],
      ['are-given-up-in-silence', 'this.parts.givenUp(delivered, nowMs - sinceMs);', ''],
      [
        'hangs-are-forgotten',
        'this.givenUp.set(delivered, sinceMs);',
        '',
        { specs: [`${LIB}/lease-keeper.spec.ts`, ...OUTAGE] },
      ],
    ],
  ),
  ...slipsIn(
    `${LIB}/outbox-relay.ts`,
    'outbox',
    [`${LIB}/outbox-relay.spec.ts`],
    [
      ['a-late-answer-is-not-waited-for', 'await this.late;', ''],
      [
        'is-not-woken-while-at-work',
        'if (this.isWoken && this.failures === 0) return Promise.resolve();',
        '',
      ],
      ['leaves-what-is-left', 'if (claimed > 0) continue;', 'if (this.stopByMs !== undefined) return;'],
      [
        'waits-for-ever-when-it-stops',
        'await Promise.race([this.running, deadline]);',
        'await this.running;',
      ],
      ['ends-at-the-first-failure', 'this.failures += 1;\n      return 0;', 'throw error;'],
    ],
  ),
  ...slipsIn(
    `${LIB}/outbox-sending.ts`,
    'outbox',
    [`${LIB}/outbox-relay.spec.ts`],
    [
      [
        'is-deleted-though-it-may-not-be-on-disk',
        'confirmed(await broker.send(claimed.map(({ message }) => message)));',
        'await broker.send(claimed.map(({ message }) => message));',
      ],
      ['a-full-topic-gives-messages-up', "if (error.code === 'QUEUE_FULL') return 'topic';", ''],
      [
        'a-wrong-token-gives-messages-up',
        "return error.kind === 'invalid' && error.code !== 'AUTHENTICATION_FAILED' ? 'never' : 'broker';",
        "return error.kind === 'invalid' ? 'never' : 'broker';",
      ],
      [
        'a-waiting-message-is-overtaken',
        '|| !(await this.isPassed(each))) return;',
        ') return;\n      await this.isPassed(each);',
      ],
      ['one-refusal-holds-up-all', "if (obstacleOf(error) === 'broker') throw error;", 'throw error;'],
    ],
  ),
  ...slipsIn(
    `${LIB}/bus.ts`,
    'outbox',
    [`${LIB}/outbox-relay.spec.ts`],
    [
      [
        'takes-what-nobody-can-parse',
        'const messages = this.seal(envelopes, true)',
        'const messages = this.seal(envelopes)',
      ],
      ['takes-what-no-broker-takes', 'if (body.byteLength <= MAX_BODY_BYTES) continue;', 'continue;'],
    ],
  ),
  ...slipsIn(
    'libs/service-kit/src/outbox/prisma-outbox.ts',
    'outbox',
    ['libs/service-kit/src/outbox/prisma-outbox.int.spec.ts'],
    [
      ['two-relays-hold-one-key', ' FOR UPDATE OF s SKIP LOCKED', ''],
      ['rows-are-sorted-as-text', 'ORDER BY summed.id`', 'ORDER BY row_id`'],
      [
        'a-waiting-key-is-overtaken',
        'AND NOT EXISTS (SELECT 1 FROM outbox AS w WHERE w.key = o.key AND w.id < o.id AND w.retry_at > clock_timestamp())',
        '',
      ],
      ['holds-any-number-of-bytes', 'WHERE bytes_before < $3::bigint', 'WHERE $3::bigint > 0'],
      ['a-dead-letter-is-sent-again', 'const IS_DUE = `o.dead_at IS NULL AND', 'const IS_DUE = `'],
      ['nobody-is-woken', "SELECT pg_notify($9, '')::text", 'SELECT $9::text'],
      [
        'rows-are-written-beside-the-transaction',
        'await tx.$queryRawUnsafe(\n        `WITH written',
        'await this.database.$queryRawUnsafe(\n        `WITH written',
      ],
    ],
  ),
  ...slipsIn(`${LIB}/envelope.ts`, 'sending', BUS, [
    ['what-no-consumer-can-read', 'if (context.validate) assertPayload(contract, payload);', ''],
    ['an-id-is-dropped', '...(id !== undefined && { id }),', ''],
    [
      'a-timer-id-is-dropped',
      '...(timerId !== undefined && { timerId }),',
      '',
      { specs: [...BUS, `${LIB}/messaging.int.spec.ts`] },
    ],
  ]),
  ...slipsIn(`${LIB}/messaging.server.ts`, 'consumers', SERVER, [
    [
      'two-handlers-for-one-contract',
      'if (this.messageHandlers.has(String(pattern))) {',
      'if (false as boolean) {',
    ],
    [
      'an-inbox-that-is-not-there',
      "if (consumer.options.once === 'inbox' && !this.inbox) {",
      'if (false as boolean) {',
    ],
    [
      'subscribe-before-they-can-answer',
      'await this.checkBacks.register();\n    await Promise.all(plans.map((plan) => this.subscribe(plan)));',
      'await Promise.all(plans.map((plan) => this.subscribe(plan)));',
    ],
    [
      'acknowledge-what-is-about-to-fail',
      'resolve(handling);\n        await handling',
      'resolve();\n        await handling',
    ],
    [
      'are-not-drained',
      'this.consumers.map((consumer) => consumer.close(drainMs))',
      'this.consumers.map(async () => drainMs)',
    ],
    [
      'a-closing-service-goes-on-subscribing',
      'if (this.closing !== undefined) await consumer.close(0);',
      '',
      {
        equivalent:
          'Between the answer to a subscription and this line a service has to be told to stop: no spec can aim at that moment, and the broker ends the membership with the connection.',
      },
    ],
  ]),
  ...slipsIn(
    `${LIB}/subscription-plan.ts`,
    'consumers',
    [`${LIB}/subscription-plan.spec.ts`],
    [
      [
        'of-one-group-contradict-each-other',
        'if (merged[option] !== undefined && told !== also) {',
        'if (false as boolean) {',
      ],
      [
        'a-broadcast-with-an-inbox',
        "if (options.mode === 'broadcast' &&",
        'if (options.mode === undefined &&',
      ],
    ],
  ),
];
