import { slipsIn, type Mutant } from '../mutant.js';

const BROKER = 'libs/broker/src';
const CUTS = `${BROKER}/engine/answers-and-power-cuts.int.spec.ts`;
const STORAGE = `${BROKER}/journal/storage-faults.int.spec.ts`;
const RECOVERY = `${BROKER}/journal/recovery.int.spec.ts`;
const START = `${BROKER}/journal/start-of-journal.int.spec.ts`;
const QUARANTINE = `${BROKER}/journal/quarantine.int.spec.ts`;
const CARRYING = `${BROKER}/engine/carry-forward.int.spec.ts`;
const KILLED = `${BROKER}/journal/restart-after-kill.int.spec.ts`;

/** What the broker has confirmed is on disk, and is found there again, or its absence is told. */
export const BROKER_STORAGE: readonly Mutant[] = [
  ...slipsIn(
    `${BROKER}/journal/journal.ts`,
    'broker-durable',
    [`${BROKER}/journal/journal.spec.ts`, CUTS],
    [
      ['confirms-before-the-sync', 'this.durableWaiters.push(waiter);', 'this.writtenWaiters.push(waiter);'],
      ['syncs-nothing', 'await this.segments.current?.datasync();\n', ''],
      [
        'takes-more-when-it-is-closed',
        "if (this.closed) throw new MessagingError('CLOSED', 'the broker is closed');\n",
        '',
        { specs: [`${BROKER}/journal/journal.spec.ts`, `${BROKER}/engine/embedded-broker.int.spec.ts`] },
      ],
      [
        'closes-without-a-sync',
        "if (!this.failure) await this.flush('durable');\n      this.closed = true;",
        "if (!this.failure) await this.flush('written');\n      this.closed = true;",
        {
          specs: [
            `${BROKER}/journal/journal.spec.ts`,
            `${BROKER}/engine/embedded-broker.int.spec.ts`,
            KILLED,
          ],
        },
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/journal/recovery.ts`,
    'broker-recovery',
    [RECOVERY, STORAGE],
    [
      ['what-is-left-out-is-not-told', 'lost.push(range);\n', '', { specs: [QUARANTINE, RECOVERY] }],
      ['the-gap-is-not-told-in-its-place', 'options.onLost?.(range);\n', '', { specs: [QUARANTINE] }],
    ],
  ),
  ...slipsIn(
    `${BROKER}/engine/engine.ts`,
    'broker-recovery',
    [RECOVERY, START, QUARANTINE],
    [
      [
        'shows-what-is-not-on-disk',
        "return { written: () => show('async'), durable: () => show('sync') };",
        "return { written: () => (show('async'), show('sync')), durable: () => show('sync') };",
        { specs: [CUTS, `${BROKER}/producers/sends.int.spec.ts`] },
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/engine/retention.ts`,
    'broker-retention',
    [CARRYING, `${BROKER}/engine/snapshot.int.spec.ts`],
    [
      [
        'groups-are-not-moved-over-it',
        'await passOver(this.host, groups, oldest.end);\n',
        '',
        { specs: [`${BROKER}/groups/missing.int.spec.ts`] },
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/engine/carry-forward.ts`,
    'broker-retention',
    [CARRYING],
    [
      ['carries-no-timers', 'owed.timers.push(timer);', ''],
      ['carries-no-dead-letters', 'owed.letters.push({ group, letter, position: letter.position });', ''],
      ['carries-no-half-messages', 'owed.transactions.push(transaction);', ''],
      [
        'forgets-where-it-was-prepared',
        '      preparedAt,\n      checks',
        '      preparedAt: 1e15,\n      checks',
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/groups/missing.ts`,
    'broker-retention',
    [`${BROKER}/groups/missing.int.spec.ts`],
    [
      ['what-is-missed-is-not-recorded', 'host.commit(EntryType.MISSED, { atMs, groups: passed });\n', ''],
      ['what-is-missed-is-not-counted', 'missed.messages += 1;\n', ''],
    ],
  ),
];
