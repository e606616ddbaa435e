import { slipsIn, type Mutant } from '../mutant.js';

const BROKER = 'libs/broker/src';
const CUTS = `${BROKER}/engine/answers-and-power-cuts.int.spec.ts`;
const JOURNAL = `${BROKER}/journal/journal.spec.ts`;
const RECOVERY = `${BROKER}/journal/recovery.int.spec.ts`;
const TORN = `${BROKER}/journal/torn-tail.int.spec.ts`;
const CHANGE = `${BROKER}/journal/segment-change.int.spec.ts`;
const START = `${BROKER}/journal/start-of-journal.int.spec.ts`;
const QUARANTINE = `${BROKER}/journal/quarantine.int.spec.ts`;
const CARRYING = `${BROKER}/engine/carry-forward.int.spec.ts`;
const RETENTION = `${BROKER}/engine/retention.int.spec.ts`;
const END = `${BROKER}/journal/end-of-journal.int.spec.ts`;
const FULL_DISK = `${BROKER}/journal/full-disk.int.spec.ts`;
const KILLED = `${BROKER}/journal/restart-after-kill.int.spec.ts`;

/** What the broker has confirmed is on disk, and is found there again, or its absence is told. */
export const BROKER_STORAGE: readonly Mutant[] = [
  ...slipsIn(
    `${BROKER}/journal/segments.ts`,
    'broker-durable',
    [START],
    [
      ['the-old-file-is-not-synced', 'await this.writing.file.datasync();\n', '', { specs: [CHANGE] }],
      [
        'a-new-file-is-not-in-its-directory',
        'if (!exists) await this.noteNewest(file, segment.base);\n',
        '',
        { specs: [KILLED] },
      ],
      [
        'a-segment-goes-before-the-mark-says-so',
        "await writeMark(this.files, this.directory, 'start', second.base);\n    await this.files.unlink(oldest.path);",
        "await this.files.unlink(oldest.path);\n    await writeMark(this.files, this.directory, 'start', second.base);",
      ],
      [
        'no-mark-where-the-journal-begins',
        "await writeMark(this.files, this.directory, 'start', second.base);\n",
        '',
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/journal/journal.ts`,
    'broker-durable',
    [JOURNAL],
    [
      [
        'confirms-before-the-sync',
        'this.durableWaiters.push(waiter);',
        'this.writtenWaiters.push(waiter);',
        { specs: [CUTS] },
      ],
      ['syncs-nothing', 'await this.segments.current?.datasync();\n', '', { specs: [CUTS] }],
      [
        'forgets-who-waits-when-a-sync-fails',
        'this.durableWaiters.unshift(...durableWaiters);',
        'void durableWaiters;',
      ],
      ['goes-on-after-a-failure', 'this.failure = failure;\n', ''],
      [
        'takes-more-after-a-failure',
        'if (this.failure) throw this.failure;\n    if (this.closed)',
        'if (this.closed)',
      ],
      [
        'takes-more-when-it-is-closed',
        "if (this.closed) throw new MessagingError('CLOSED', 'the broker is closed');\n",
        '',
      ],
      [
        'an-entry-may-be-longer-than-recovery-reads',
        'if (!fitsEntry(maxBodyBytes)) throw tooLong(maxBodyBytes);\n',
        '',
      ],
      [
        'says-more-was-durable-than-was',
        'view.setFloat64(entryAt + 10, this.durable, true);',
        'view.setFloat64(entryAt + 10, this.end, true);',
        { specs: [TORN] },
      ],
      [
        'says-nothing-was-durable',
        'view.setFloat64(entryAt + 10, this.durable, true);',
        'view.setFloat64(entryAt + 10, 0, true);',
        { specs: [TORN] },
      ],
      ['async-messages-are-never-synced', 'if (this.durable < this.written) this.syncLater();\n', ''],
      [
        'closes-without-a-sync',
        "if (!this.failure) await this.flush('durable');\n      this.closed = true;",
        "if (!this.failure) await this.flush('written');\n      this.closed = true;",
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/journal/recovery.ts`,
    'broker-recovery',
    [TORN],
    [
      ['a-torn-tail-is-not-cut', 'await file.truncate(position - segment.base);\n', ''],
      [
        'a-cut-is-not-synced',
        'await file.truncate(position - segment.base);\n      await file.datasync();',
        'await file.truncate(position - segment.base);',
      ],
      ['segments-behind-a-cut-stay', 'for (const { path } of gone) await files.unlink(path);\n', ''],
      ['damage-passes-for-a-torn-tail', 'if (provenDurable <= position)', 'if (position >= 0)'],
      [
        'a-torn-tail-passes-for-damage',
        'if (provenDurable <= position)',
        'if (provenDurable < 0)',
        { specs: [RECOVERY] },
      ],
      [
        'damage-is-left-out-unasked',
        "if (options.onDamage === 'refuse') throw damaged(segment, position, to);\n",
        '',
      ],
      ['what-is-left-out-is-not-told', 'lost.push(range);\n', '', { specs: [QUARANTINE] }],
      ['the-gap-is-not-told-in-its-place', 'options.onLost?.(range);\n', '', { specs: [QUARANTINE] }],
      ['a-missing-end-is-no-damage', 'if (end < durableUpTo) {', 'if (end < 0) {'],
      [
        'a-missing-start-is-no-damage',
        'if (missing) {',
        'if (missing && options.readOnly === true) {',
        { specs: [START] },
      ],
      [
        'a-missing-start-is-left-out-unasked',
        "if (options.onDamage === 'refuse' && !isKnown) throw startIsMissing(missing);\n",
        '',
        { specs: [START] },
      ],
      [
        'the-page-cache-passes-for-the-disk',
        'await file.writev([bytes.subarray(0, read)], from - newest.base);\n    await file.datasync();',
        '',
        { specs: [KILLED] },
      ],
      [
        'clean-pages-are-trusted',
        'await file.writev([bytes.subarray(0, read)], from - newest.base);\n',
        '',
        { specs: [KILLED] },
      ],
      [
        'looks-no-further-than-a-mark',
        'await durableBehind(options.files, segments, index, block, next),\n',
        '0,\n',
        { specs: [TORN] },
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/journal/scan.ts`,
    'broker-recovery',
    [`${BROKER}/journal/scan.spec.ts`],
    [
      [
        'later-segments-prove-nothing',
        'segments.all.slice(index + 1)',
        'segments.all.slice(index + 2)',
        { specs: [TORN] },
      ],
      ['damage-of-a-header-is-overlooked', 'return false;\n  }\n}', 'return true;\n  }\n}'],
      [
        'a-newer-format-passes-for-damage',
        "if (error instanceof MessagingError && error.message.includes('format version')) throw error;\n",
        '',
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/journal/format.ts`,
    'broker-recovery',
    [`${BROKER}/journal/scan.spec.ts`],
    [
      ['a-copy-of-the-log-passes-for-entries', 'crc32(rest, position % 2 ** 32)', 'crc32(rest, 0)'],
      ['a-checksum-is-not-compared', '? length\n    : 0;', '? length\n    : length;'],
      ['a-header-of-another-place-passes', 'if (found !== base) fail(', 'if (found < 0) fail('],
    ],
  ),
  ...slipsIn(
    `${BROKER}/journal/marks.ts`,
    'broker-recovery',
    [TORN],
    [
      [
        'a-torn-mark-is-believed',
        'bytes.readUInt32LE(8) !== crc32(bytes.subarray(0, 8))',
        'bytes.readUInt32LE(8) < 0',
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/engine/engine.ts`,
    'broker-recovery',
    [TORN],
    [
      [
        'a-clean-end-leaves-no-mark',
        "await writeMark(this.options.files, this.segments.directory, 'durable', this.journal.durable);\n",
        '',
      ],
      ['a-cut-tail-is-not-told', 'if (cut && cut.to > cut.from) {', 'if (cut && cut.to < cut.from) {'],
      [
        'what-was-recovered-is-not-secured',
        'await secure(files, segments, recovered);\n',
        '',
        { specs: [KILLED] },
      ],
      [
        'damage-is-not-set-aside',
        'await setAside(files, dir, range, this.segments.at(from)?.base ?? from);\n',
        '',
        { specs: [START] },
      ],
      [
        'shows-what-is-not-on-disk',
        "return { written: () => show('async'), durable: () => show('sync') };",
        "return { written: () => (show('async'), show('sync')), durable: () => show('sync') };",
        { specs: [CUTS, `${BROKER}/producers/sends.int.spec.ts`] },
      ],
      [
        'acks-do-not-go-with-a-commit',
        'this.pendingAcks.record(this.journal);\n',
        '',
        { specs: [`${BROKER}/engine/embedded-broker.int.spec.ts`] },
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/engine/retention.ts`,
    'broker-retention',
    [CARRYING],
    [
      [
        'drops-what-is-owed',
        "if (!(await this.carryForward.empty(oldest, this.host.segments.nextBase(oldest.base)))) return;\n        // What made it droppable must be on disk first: where a retry was moved to, for one.\n        await this.host.journal.flush('durable');\n        if (this.droppable() !== oldest || this.owes(oldest)) return;\n",
        "await this.host.journal.flush('durable');\n",
      ],
      [
        'drops-before-it-is-on-disk-where-things-went',
        "await this.host.journal.flush('durable');\n        if (this.droppable()",
        'if (this.droppable()',
        { specs: [RETENTION] },
      ],
      [
        'drops-undecided-half-messages',
        'transactions.lowestPosition() < before || ',
        '',
        {
          equivalent:
            'what is owed was carried forward by then, and nothing comes to lie where only older things do; a drop cannot be undone, so it is asked again',
        },
      ],
      [
        'drops-dead-letters',
        '!deadLetters.before(before).next().done) return true;',
        'before < 0) return true;',
        {
          equivalent:
            'what is owed was carried forward by then, and nothing comes to lie where only older things do; a drop cannot be undone, so it is asked again',
        },
      ],
      [
        'drops-what-waits-for-its-time',
        'return timers.lowestPosition() < before && !timers.before(before).next().done;',
        'return false;',
        {
          equivalent:
            'what is owed was carried forward by then, and nothing comes to lie where only older things do; a drop cannot be undone, so it is asked again',
        },
      ],
      [
        'drops-what-is-not-settled',
        'return this.isNeeded(second.base) ? undefined : oldest;',
        'return oldest;',
        { specs: [RETENTION] },
      ],
      [
        'drops-before-the-newer-one-is-on-disk',
        'journal.failed || journal.durable <= second.base',
        'journal.failed',
        {
          equivalent:
            'all that was written is synced before anything is dropped; to ask first only spares the sync of a segment that has just begun',
        },
      ],
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
        'carries-what-was-recalled-meanwhile',
        'if (timers.has(hash, position)) room',
        'room',
        { specs: [RETENTION] },
      ],
      [
        'forgets-the-checks-of-a-transaction',
        '      checks,\n      messages',
        '      checks: 0,\n      messages',
        { specs: [RETENTION] },
      ],
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
      ['counts-what-was-settled', 'if (!settled.isSettled(offset)) last =', 'last ='],
    ],
  ),
  ...slipsIn(
    `${BROKER}/journal/segments.ts`,
    'broker-end-of-journal',
    [END],
    [
      [
        'the-newest-segment-is-not-noted',
        'if (!exists) await this.noteNewest(file, segment.base);',
        'if (!exists) await this.files.syncDirectory(this.directory);',
      ],
      [
        'the-newest-segment-is-noted-before-it-is-there',
        "await this.files.syncDirectory(this.directory);\n    await writeMark(this.files, this.directory, 'newest', base);",
        "await writeMark(this.files, this.directory, 'newest', base);\n    await this.files.syncDirectory(this.directory);",
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/journal/recovery.ts`,
    'broker-end-of-journal',
    [END],
    [
      [
        'a-missing-newest-segment-is-not-missed',
        "options.onDamage === 'refuse') throw endIsMissing",
        'false) throw endIsMissing',
      ],
      ['a-missing-newest-segment-is-not-told', 'if (missingNewest) leaveOut(missingNewest);\n', ''],
      [
        'what-recovery-takes-away-is-missed',
        "if (newestAt < (options.newestAt ?? -1)) await writeMark(files, segments.directory, 'newest', newestAt);\n",
        '',
      ],
      [
        'what-recovery-takes-away-is-missed-when-it-dies',
        "if (newestAt < (options.newestAt ?? -1)) await writeMark(files, segments.directory, 'newest', newestAt);\n  for (const { path } of gone) await files.unlink(path);",
        "for (const { path } of gone) await files.unlink(path);\n  if (newestAt < (options.newestAt ?? -1)) await writeMark(files, segments.directory, 'newest', newestAt);",
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/engine/engine.ts`,
    'broker-end-of-journal',
    [END],
    [['a-segment-of-a-dead-process-is-not-noted', 'await engine.noteNewest();\n', '']],
  ),
  ...slipsIn(
    `${BROKER}/inspect/verify-journal.ts`,
    'broker-end-of-journal',
    [END],
    [['a-verification-misses-no-end', '    newestAt,\n', '']],
  ),
  ...slipsIn(
    `${BROKER}/journal/ballast.ts`,
    'broker-full-disk',
    [FULL_DISK],
    [
      ['the-reserve-goes-at-once', 'Math.max(bytes, this.pieceBytes)', 'this.left'],
      ['the-reserve-forgets-what-was-given-up', 'this.left = keep;\n', ''],
      ['a-smaller-reserve-is-not-cut', 'if (size > bytes) await file.truncate(bytes);\n', ''],
    ],
  ),
  ...slipsIn(
    `${BROKER}/journal/reserved-files.ts`,
    'broker-full-disk',
    [FULL_DISK],
    [
      [
        'a-full-disk-fails-at-once',
        'if (!isFull(error) || !(await this.ballast.giveUp(bytes))) throw error;',
        'throw error;',
      ],
      [
        'a-sync-is-tried-again',
        "if (mode === 'read') return file;\n",
        "if (mode === 'read') return file;\n    const datasync = file.datasync.bind(file);\n    file.datasync = () => this.withRoom(0, datasync);\n",
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/journal/space.ts`,
    'broker-full-disk',
    [FULL_DISK],
    [
      [
        'sends-use-the-reserve-of-acks',
        'return this.wasShort || !this.parts.ballast.isWhole;',
        'return this.wasShort;',
      ],
      [
        'a-nearly-full-disk-is-not-seen',
        'if (!ballast.isWhole || this.freeBytes < needed) this.becomeShort();',
        'if (!ballast.isWhole) this.becomeShort();',
      ],
      ['what-is-written-since-is-not-counted', 'this.upTo = before + this.freeBytes - ballast.bytes;\n', ''],
      ['a-full-disk-is-full-for-ever', 'else this.recover();\n', ''],
      ['the-reserve-is-not-filled-again', 'await this.fill();\n', ''],
    ],
  ),
  ...slipsIn(
    `${BROKER}/producers/sends.ts`,
    'broker-full-disk',
    [FULL_DISK],
    [
      ['sends-fill-the-disk', 'if (newBytes > 0) host.space.admit(bytes);\n', ''],
      [
        'what-is-stored-is-refused-on-a-full-disk',
        'if (newBytes > 0) host.space.admit(bytes);',
        'host.space.admit(bytes);',
      ],
    ],
  ),
  ...slipsIn(
    `${BROKER}/transactions/half-messages.ts`,
    'broker-full-disk',
    [FULL_DISK],
    [['half-messages-fill-the-disk', '    host.space.admit(bytes);\n', '']],
  ),
  ...slipsIn(
    `${BROKER}/producers/sequenced-sends.ts`,
    'broker-full-disk',
    [FULL_DISK],
    [['producers-that-register-again-fill-the-disk', '    host.space.admit(0);\n', '']],
  ),
  ...slipsIn(
    `${BROKER}/timers/timers.ts`,
    'broker-full-disk',
    [FULL_DISK],
    [['new-times-fill-the-disk', '    host.space.admit(bytes);\n', '']],
  ),
  ...slipsIn(
    `${BROKER}/engine/engine.ts`,
    'broker-full-disk',
    [FULL_DISK],
    [['segments-begin-on-a-full-disk', 'return this.space.fits(bytes);', 'return true;']],
  ),
  ...slipsIn(
    `${BROKER}/wire/json.ts`,
    'broker-full-disk',
    [`${BROKER}/wire/codec.spec.ts`],
    [['older-clients-take-a-full-disk-for-a-breach', "  STORAGE_FULL: 'BUFFER_FULL',\n", '']],
  ),
];
