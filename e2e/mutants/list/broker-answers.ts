import { slipsIn, type Mutant } from '../mutant.js';

const BROKER = 'libs/broker/src';
const CUTS = `${BROKER}/engine/answers-and-power-cuts.int.spec.ts`;
const PRODUCERS = `${BROKER}/producers/producers.int.spec.ts`;
const TRANSACTIONS = `${BROKER}/transactions/transactions.int.spec.ts`;
const TIMERS = `${BROKER}/timers/timers.int.spec.ts`;
const FIRING = `${BROKER}/timers/due-timers.int.spec.ts`;
const LETTERS = `${BROKER}/dead-letters/dead-letters.int.spec.ts`;
const REDRIVES = `${BROKER}/dead-letters/redrive-all.int.spec.ts`;

/** An answer of the broker is true, whatever happens next, and whoever asks twice gets it twice. */
export const BROKER_ANSWERS: readonly Mutant[] = [
  ...slipsIn(
    `${BROKER}/producers/sequenced-sends.ts`,
    'broker-producers',
    [CUTS, PRODUCERS],
    [
      [
        'an-epoch-is-answered-before-it-is-on-disk',
        "host.commit(EntryType.PRODUCER_OPENED, facts);\n    await host.journal.flush('durable');",
        'host.commit(EntryType.PRODUCER_OPENED, facts);',
      ],
      ['a-repeated-receipt-before-it-is-on-disk', 'sync: true, timeoutMs', 'sync: false, timeoutMs'],
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
    `${BROKER}/producers/sends.ts`,
    'broker-sends',
    [CUTS, `${BROKER}/producers/sends.int.spec.ts`],
    [
      ['a-send-before-it-is-on-disk', "sync ||= topic.flush === 'sync';", "sync ||= topic.flush !== 'sync';"],
      [
        'a-time-to-live-is-forgotten',
        'fields.ttlMs = message.ttlMs ?? 0;',
        'fields.ttlMs = 0;',
        { specs: [`${BROKER}/groups/delivery.int.spec.ts`] },
      ],
      [
        'an-id-is-not-remembered',
        'message.id === undefined ? undefined : idHash);',
        'undefined);',
        { specs: [CUTS] },
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/transactions/half-messages.ts`,
    'broker-transactions',
    [CUTS, TRANSACTIONS],
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
    ],
  ),
  ...slipsIn(
    `${BROKER}/timers/timers.ts`,
    'broker-timers',
    [CUTS, TIMERS, FIRING],
    [
      [
        'a-recall-before-it-is-on-disk',
        "// An earlier recall, too, may still be on its way to the disk.\n    await host.journal.flush('durable');",
        '',
      ],
      [
        'another-time-before-it-is-on-disk',
        "host.dueAt(deliverAtMs);\n    await host.journal.flush('durable');",
        'host.dueAt(deliverAtMs);',
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/dead-letters/redrives.ts`,
    'broker-letters',
    [CUTS, REDRIVES, LETTERS],
    [
      [
        'a-redrive-before-it-is-on-disk',
        "const given = await this.give(group, letter, note);\n    await this.host.journal.flush('durable');",
        'const given = await this.give(group, letter, note);',
      ],
      [
        'redriving-all-before-it-is-on-disk',
        "MAX_CALL_MS }, note);\n    await this.host.journal.flush('durable');",
        'MAX_CALL_MS }, note);',
      ],
      [
        'a-discard-before-it-is-on-disk',
        "'discarded', host.now(), new Actor(group));\n    await host.journal.flush(\'durable\');",
        "'discarded', host.now(), new Actor(group));",
      ],
      ['at-no-pace', 'if (turnAtMs - nowMs >= 1) await wait(turnAtMs - nowMs);\n', '', { specs: [REDRIVES] }],
      [
        'one-unreadable-letter-ends-it',
        'if (this.stopped || this.host.journal.failed) throw error;',
        'throw error;',
        { specs: [REDRIVES, LETTERS] },
      ],
      [
        'a-dry-run-gives-back',
        'if (options.dryRun === true) return',
        'if (options.dryRun === undefined && limit < 0) return',
        { specs: [REDRIVES] },
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
    `${BROKER}/dead-letters/dead-letters.ts`,
    'broker-letters',
    [LETTERS],
    [
      ['two-of-one-id-are-one', 'isSamePlace && letter.cause.topic === cause.topic', 'true'],
      ['another-death-of-it-counts-twice', 'if (earlier) letters.remove(earlier);\n', ''],
    ],
  ),
];
