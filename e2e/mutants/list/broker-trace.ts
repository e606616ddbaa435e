import { slipsIn, type Mutant } from '../mutant.js';

const TRACE = 'libs/broker/src/trace';
const RING = `${TRACE}/trace.spec.ts`;
const WRITER = `${TRACE}/trace-writer.spec.ts`;
const RESTART = `${TRACE}/trace-after-restart.int.spec.ts`;
const TCP = 'libs/broker/src/server/tcp.int.spec.ts';

/** What is told of a message’s way is true: which step, when, by whom; after a restart as well, and never at the cost of a message. */
export const BROKER_TRACE: readonly Mutant[] = [
  ...slipsIn(
    `${TRACE}/trace.ts`,
    'broker-trace',
    [RING, WRITER],
    [
      [
        'a-full-table-names-somebody-else',
        'if (this.total < this.looksForRoomFrom) return 0;',
        'if (this.total < this.looksForRoomFrom) return 1;',
      ],
      ['no-room-for-further-actors', 'this.actors.keepOnly(used);\n', ''],
      ['a-lost-record-is-remembered', 'this.places[place * 2] = GONE;\n', ''],
      [
        'steps-lapped-by-the-ring-are-written',
        'const first = Math.max(from, this.total - this.size);',
        'const first = from;',
      ],
    ],
  ),
  ...slipsIn(
    `${TRACE}/actors.ts`,
    'broker-trace',
    [RING, WRITER],
    [
      ['a-number-outlives-its-actor', 'this.epoch += 1;\n', ''],
      [
        'two-nodes-are-one',
        'JSON.stringify([group, consumer, node])',
        'JSON.stringify([group, consumer])',
        { specs: [WRITER] },
      ],
    ],
  ),
  ...slipsIn(
    `${TRACE}/trace-format.ts`,
    'broker-trace',
    [WRITER],
    [
      [
        'a-damaged-batch-is-believed',
        'if (end > file.byteLength || file.readUInt32LE(at + 4) !== crc32(file.subarray(at + 8, end), at))',
        'if (end > file.byteLength)',
      ],
      ['another-version-is-read', 'return version === VERSION ?', 'return version >= VERSION ?'],
    ],
  ),
  ...slipsIn(
    `${TRACE}/trace-files.ts`,
    'broker-trace',
    [WRITER],
    [
      ['appends-behind-a-torn-end', 'return !last || !this.goesOn || last', 'return !last || last'],
      [
        'drops-what-is-still-remembered',
        'others.reduce((sum, each) => sum + each.steps, 0)',
        'others.reduce((sum, each) => sum + each.steps, oldest.steps)',
      ],
      ['drops-nothing', 'if (steps < this.size && bytes', 'if (steps >= 0 || bytes'],
      ['more-bytes-than-it-may', ' && bytes <= mostBytes', ''],
      ['more-files-than-it-may', ' && this.kept.length <= mostFiles', ''],
    ],
  ),
  ...slipsIn(
    `${TRACE}/trace-writer.ts`,
    'broker-trace',
    [WRITER],
    [
      ['steps-before-their-records', "await this.host.journal.flush('written');\n", ''],
      [
        'what-a-power-cut-took-is-told',
        'if (this.trace.forgetRecordsFrom(end) === 0) return;\n',
        'return;\n',
        { specs: [WRITER, RESTART] },
      ],
      ['a-cut-is-not-noted', 'await this.append(this.written);\n', ''],
      ['a-failed-disk-is-asked-every-second', 'this.retryAtMs = this.host.monotonicMs() + RETRY_MS;\n', ''],
      ['tells-it-every-minute', 'this.isTold = true;\n', ''],
      ['keeps-its-space-on-a-full-disk', 'if (isAboutSpace(error)) await this.giveWay();\n', ''],
      ['what-gave-way-is-not-written-again', 'this.written = 0;\n    } catch', '} catch'],
      [
        'a-clean-end-forgets-the-last-second',
        'await this.appendUpTo(this.trace.total);\n',
        '',
        { specs: [WRITER, RESTART] },
      ],
      [
        'files-of-a-trace-that-is-off',
        'return await this.files.remove();',
        'return;',
        { specs: [WRITER, RESTART] },
      ],
    ],
  ),
  ...slipsIn(
    'libs/broker/src/server/broker-server.ts',
    'broker-trace',
    [TCP],
    [['the-node-of-a-client-is-where-it-came-from', 'hello.node ?? this.address', 'this.address']],
  ),
  ...slipsIn(
    'libs/broker/src/groups/settlements.ts',
    'broker-trace',
    [RESTART],
    [
      [
        'an-ack-names-nobody',
        'this.host.trace.addRecord(delivery.position, ACKED, now, delivery.consumer.actor);',
        'this.host.trace.addRecord(delivery.position, ACKED, now);',
      ],
      [
        'a-death-names-its-group-alone',
        'const actor = consumer?.actor ?? new Actor(group.name);',
        'const actor = new Actor(group.name);',
      ],
    ],
  ),
];
