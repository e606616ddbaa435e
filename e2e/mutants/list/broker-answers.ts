import { slipsIn, type Mutant } from '../mutant.js';

const BROKER = 'libs/broker/src';
const CUTS = `${BROKER}/engine/answers-and-power-cuts.int.spec.ts`;
const PRODUCERS = `${BROKER}/producers/producers.int.spec.ts`;
const TRANSACTIONS = `${BROKER}/transactions/transactions.int.spec.ts`;
const TIMERS = `${BROKER}/timers/timers.int.spec.ts`;
const RESCHEDULING = `${BROKER}/timers/rescheduling.int.spec.ts`;
const FIRING = `${BROKER}/timers/due-timers.int.spec.ts`;
const LETTERS = `${BROKER}/dead-letters/dead-letters.int.spec.ts`;
const REDRIVES = `${BROKER}/dead-letters/redrive-all.int.spec.ts`;
const STRANGERS = `${BROKER}/server/strangers.int.spec.ts`;

/** An answer of the broker is true, whatever happens next, and whoever asks twice gets it twice. */
export const BROKER_ANSWERS: readonly Mutant[] = [
  ...slipsIn(
    `${BROKER}/producers/sequenced-sends.ts`,
    'broker-producers',
    [PRODUCERS],
    [
      [
        'an-epoch-is-answered-before-it-is-on-disk',
        "host.commit(EntryType.PRODUCER_OPENED, facts);\n    await host.journal.flush('durable');",
        'host.commit(EntryType.PRODUCER_OPENED, facts);',
        { specs: [CUTS] },
      ],
      [
        'a-repeated-receipt-before-it-is-on-disk',
        'sync: true, timeoutMs',
        'sync: false, timeoutMs',
        { specs: [CUTS] },
      ],
      [
        'an-append-passes-one-that-reads',
        'if (ahead) return ahead.then(() => this.store(messages, stamp));\n',
        '',
      ],
      ['a-repetition-is-stored', 'if (earlier !== undefined) return', 'if (earlier === 0) return'],
      ['another-batch-under-the-same-number', 'if (count !== messages) {', 'if (count < 0) {'],
    ],
  ),
  ...slipsIn(
    `${BROKER}/producers/sequences.ts`,
    'broker-producers',
    [PRODUCERS],
    [
      [
        'an-older-epoch-gets-through',
        'if (epoch !== producer.epoch) throw fenced(producer.name);\n    if (sequence',
        'if (sequence',
      ],
      [
        'a-gap-gets-through',
        'if (sequence === producer.last + 1) return undefined;',
        'if (sequence > producer.last) return undefined;',
      ],
      ['an-epoch-is-used-again', 'epoch: known.epoch + 1', 'epoch: known.epoch'],
      [
        'an-older-instance-takes-its-name-back',
        'if (renew && known.owner !== owner) throw fenced(name);\n',
        '',
      ],
      ['a-refusal-is-forgotten', 'producer.refusals.set(sequence, error);', ''],
      [
        'a-snapshot-does-not-say-how-far',
        'this.open(facts, last);',
        'this.open(facts);',
        { specs: [`${BROKER}/producers/sequences.spec.ts`] },
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/producers/sends.ts`,
    'broker-sends',
    [CUTS],
    [
      ['a-send-before-it-is-on-disk', "sync ||= topic.flush === 'sync';", "sync ||= topic.flush !== 'sync';"],
      [
        'several-refused-take-a-number',
        'if (stamp && messages === 1 && concernsOneMessage(error))',
        'if (stamp && concernsOneMessage(error))',
        { specs: [PRODUCERS] },
      ],
      [
        'a-newer-instance-meanwhile-goes-unnoticed',
        'if (stamp) this.stores.sequences.admit(stamp);\n',
        '',
        { specs: [PRODUCERS] },
      ],
      [
        'a-delayed-message-comes-at-once',
        'isDelayed(message, now) ? undefined : topic',
        'topic',
        { specs: [TIMERS] },
      ],
      [
        'a-time-to-live-is-forgotten',
        'fields.ttlMs = message.ttlMs ?? 0;',
        'fields.ttlMs = 0;',
        { specs: [`${BROKER}/groups/delivery.int.spec.ts`] },
      ],
      ['an-id-is-not-remembered', 'message.id === undefined ? undefined : idHash);', 'undefined);'],
    ],
  ),
  ...slipsIn(
    `${BROKER}/topics/recent-ids.ts`,
    'broker-sends',
    [`${BROKER}/topics/recent-ids.spec.ts`],
    [
      [
        'forgets-half-a-window-early',
        'return this.old.count === 0 ? young : this.old.find(hash, young);',
        'return young;',
      ],
      ['forgets-while-it-grows', 'if (positions[slot] !== 0) this.put(hashes[slot]!, positions[slot]!);', ''],
    ],
  ),
  ...slipsIn(
    `${BROKER}/transactions/half-messages.ts`,
    'broker-transactions',
    [CUTS],
    [
      [
        'half-messages-before-they-are-on-disk',
        "host.dueAt(now + this.options.firstCheckMs);\n    await host.journal.flush('durable');",
        'host.dueAt(now + this.options.firstCheckMs);',
      ],
      [
        'a-decision-before-it-is-on-disk',
        ": this.rollBack(transaction, halves, audit);\n    await host.journal.flush('durable');",
        ': this.rollBack(transaction, halves, audit);',
      ],
      [
        'a-repeated-decision-before-it-is-on-disk',
        "// The first decision may still be on its way to the disk.\n      await host.journal.flush('durable');",
        '',
      ],
      [
        'a-check-is-counted-before-it-is-on-disk',
        "host.commit(EntryType.CHECKED, { id, askedAtMs });\n    await host.journal.flush('durable');",
        'host.commit(EntryType.CHECKED, { id, askedAtMs });',
      ],
      [
        'what-was-recalled-is-committed',
        'if (dueAtMs > 0 && this.wasRecalled(',
        'if (dueAtMs < 0 && this.wasRecalled(',
        { specs: [TIMERS] },
      ],
      [
        'a-committed-timer-comes-at-once',
        'if (dueAtMs > now) {',
        'if (dueAtMs < 0) {',
        { specs: [TRANSACTIONS] },
      ],
      [
        'any-word-is-a-rollback',
        "if (!['commit', 'rollback', 'unknown'].includes(decision)) {",
        'if (decision === undefined) {',
        { specs: [`${BROKER}/engine/arguments.int.spec.ts`] },
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/transactions/transactions.ts`,
    'broker-transactions',
    [TRANSACTIONS],
    [
      [
        'the-last-decision-wins',
        "if (earlier)\n      throw new MessagingError('TRANSACTION_CONFLICT'",
        "if (earlier === decision)\n      throw new MessagingError('TRANSACTION_CONFLICT'",
      ],
      ['is-asked-for-ever', 'transaction.checks >= this.options.maxChecks || ', ''],
      [
        'a-check-that-was-not-answered-counts',
        'transaction.askedAtMs = nowMs;',
        'transaction.askedAtMs = nowMs;\n    transaction.checks += 1;',
      ],
      [
        'asks-nobody-again',
        'nextCheckAtMs: facts.atMs + this.options.firstCheckMs',
        'nextCheckAtMs: Infinity',
      ],
      ['a-decision-leaves-it-pending', 'this.pending.delete(id);\n', ''],
    ],
  ),
  ...slipsIn(
    `${BROKER}/timers/timers.ts`,
    'broker-timers',
    [RESCHEDULING],
    [
      [
        'a-recall-before-it-is-on-disk',
        "// An earlier recall, too, may still be on its way to the disk.\n    await host.journal.flush('durable');",
        '',
        { specs: [CUTS] },
      ],
      [
        'another-time-before-it-is-on-disk',
        "host.dueAt(deliverAtMs);\n    await host.journal.flush('durable');",
        'host.dueAt(deliverAtMs);',
        { specs: [CUTS] },
      ],
      [
        'another-time-is-not-in-the-record',
        'copyToTimers(out, block, position, { storedAtMs, deliverAtMs });',
        'copyToTimers(out, block, position, { storedAtMs, deliverAtMs: recordAt.deliverAtMs(block, position) });',
      ],
      [
        'the-old-time-stays',
        'const timers = pending.map(({ position }) => [hash, position]);',
        'const timers = pending.map(() => [hash, 0]);',
      ],
      [
        'fires-what-was-recalled',
        'loaded.filter(({ timer }) => stores.timers.isPending(timer))',
        'loaded.filter(() => true)',
        { specs: [FIRING] },
      ],
      [
        'recalls-what-has-fired',
        'found.filter(({ position }) => this.stores.timers.has(hash, position))',
        'found.filter(() => true)',
        { specs: [FIRING] },
      ],
      ['another-handle-of-the-same-hash', '|| !isTimerOf(block, position, timerId)', '', { specs: [TIMERS] }],
      [
        'a-handle-of-another-topic',
        'if (topicId === undefined || topicId === recordAt.topicId(block, position))\n        found',
        'if (position > 0)\n        found',
        { specs: [TIMERS] },
      ],
      [
        'says-nothing-of-two-topics',
        'if (ids.size <= 1) return;',
        'if (ids.size >= 0) return;',
        { specs: [TIMERS] },
      ],
      [
        'an-unreadable-one-holds-up-the-others',
        'this.report(error);\n      return undefined;',
        'throw error;',
        { specs: [FIRING] },
      ],
      ['reads-all-that-is-due-at-once', 'await this.written;\n', '', { specs: [FIRING] }],
      ['a-time-that-makes-no-sense', 'checkDeliverAt(deliverAtMs, host.now());\n', ''],
    ],
  ),
  ...slipsIn(
    `${BROKER}/timers/timer-store.ts`,
    'broker-timers',
    [`${BROKER}/timers/timer-store.spec.ts`],
    [
      [
        'a-clock-set-back-fires-early',
        'if (nowMs < this.wheel.nowMs - CLOCK_STEP_MS) this.rebuild(nowMs);\n',
        '',
      ],
      ['what-could-not-fire-is-lost', 'this.stuck.push(slot);\n', ''],
      ['no-bound', 'if (this.size + more > MAX_TIMERS) {', 'if (more < 0) {'],
      ['the-order-of-due-times', 'inOrder(batch);\n    return batch;', 'return batch.reverse();'],
    ],
  ),
  ...slipsIn(
    `${BROKER}/timers/recalls.ts`,
    'broker-timers',
    [TIMERS],
    [['a-new-message-counts-as-recalled', 'byTopic.delete(topicId);\n', '']],
  ),
  ...slipsIn(
    `${BROKER}/dead-letters/redrives.ts`,
    'broker-letters',
    [REDRIVES],
    [
      [
        'a-redrive-before-it-is-on-disk',
        "const given = await this.give(group, letter, note);\n    await this.host.journal.flush('durable');",
        'const given = await this.give(group, letter, note);',
        { specs: [CUTS] },
      ],
      [
        'redriving-all-before-it-is-on-disk',
        "MAX_CALL_MS }, note);\n    await this.host.journal.flush('durable');",
        'MAX_CALL_MS }, note);',
        { specs: [CUTS] },
      ],
      [
        'a-discard-before-it-is-on-disk',
        "'discarded', host.now(), new Actor(group));\n    await host.journal.flush(\'durable\');",
        "'discarded', host.now(), new Actor(group));",
        { specs: [CUTS] },
      ],
      [
        'gives-back-twice',
        '|| this.deadLetters.find(group, id, offset) !== letter) return false;',
        ') return false;',
      ],
      ['at-no-pace', 'if (turnAtMs - nowMs >= 1) await wait(turnAtMs - nowMs);\n', ''],
      [
        'one-unreadable-letter-ends-it',
        'if (this.stopped || this.host.journal.failed) throw error;',
        'throw error;',
      ],
      [
        'a-dry-run-gives-back',
        'if (options.dryRun === true) return',
        'if (options.dryRun === undefined && limit < 0) return',
      ],
      [
        'forgets-automatic-redrives',
        "(audit.action === 'automatic-redrive' ? 1 : 0)",
        '0',
        { specs: [`${BROKER}/dead-letters/automatic-redrives.int.spec.ts`] },
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/dead-letters/edit-letter.ts`,
    'broker-letters',
    [`${BROKER}/dead-letters/edit-letter.int.spec.ts`],
    [
      [
        'an-edit-before-it-is-on-disk',
        "await host.journal.flush('durable');\n    return true;",
        'return true;',
        { specs: [CUTS] },
      ],
      [
        'an-edit-of-what-was-given-back',
        'if (deadLetters.find(group, id, offset) !== letter) continue;\n',
        '',
      ],
      ['an-edit-undoes-another', 'if (letter.position !== position) continue;\n', ''],
      ['an-edit-is-not-audited', '{ group, offset, audit }', '{ group, offset }'],
      [
        'an-edit-forgets-what-it-died-of',
        'encodeProvenance(provenance)',
        'encodeProvenance({ ...provenance, history: [] })',
      ],
      [
        'an-edit-of-nothing',
        'if (body === undefined && headers === undefined)',
        'if (body === headers && body === "")',
      ],
      ['an-edit-makes-what-no-message-may-be', 'if (headers !== undefined) checkHeaders(headers);\n', ''],
      ['an-edit-of-any-size', 'if (body !== undefined) checkBody(body);\n', ''],
    ],
  ),
  ...slipsIn(
    `${BROKER}/dead-letters/dead-letters.ts`,
    'broker-letters',
    [LETTERS],
    [
      ['two-of-one-id-are-one', 'isSamePlace && letter.cause.topic === cause.topic', 'true'],
      ['another-death-of-it-counts-twice', 'if (earlier) letters.remove(earlier);\n', ''],
    ],
  ),
  ...slipsIn(
    `${BROKER}/wire/frames.ts`,
    'broker-wire',
    [`${BROKER}/wire/frames.spec.ts`],
    [
      ['no-bound-of-frames', 'length < HEADER_BYTES || length > this.maxFrameBytes', 'length < HEADER_BYTES'],
      [
        'strangers-may-send-as-much-as-others',
        'MAX_HELLO_BYTES = 4 * 1024;',
        'MAX_HELLO_BYTES = MAX_FRAME_BYTES;',
        { specs: [STRANGERS] },
      ],
      ['a-frame-too-long-takes-others-along', 'this.position = this.frameAt;', 'this.position = 0;'],
    ],
  ),
];
