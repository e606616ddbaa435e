import type { StoredMessage } from '#libs/messaging/port';
import { type DescribedEntry, type TopicNames, describeEntry } from '../inspect/describe-entry.js';
import { readSegmentFile } from '../inspect/read-segment-file.js';
import { type JournalReport, verifyJournal } from '../inspect/verify-journal.js';
import type { CliOptions } from './command.js';
import { UsageError } from './usage.js';

/** Commands that read files instead of asking a broker; they answer with the exit code. */
export type FileCommand = (
  operands: readonly string[],
  options: CliOptions,
  out: (line: string) => void,
) => Promise<number>;

/** Longest stretch of a body that `dump` shows. */
const SHOWN_BODY_BYTES = 200;

export const FILE_COMMANDS: Readonly<Record<string, FileCommand>> = {
  dump: async ([path], options, out) => {
    if (path === undefined) throw new UsageError('FILE is missing');
    const names: TopicNames = new Map();
    let unreadable = 0;
    await readSegmentFile(
      path,
      (found) => {
        const entry = describeEntry(found, names);
        if (options.json === true) out(JSON.stringify({ ...entry, messages: entry.messages.map(withText) }));
        else for (const line of entryLines(entry)) out(line);
      },
      ({ from, to }) => {
        unreadable += 1;
        if (options.json === true)
          out(JSON.stringify({ position: from, length: to - from, type: 'UNREADABLE' }));
        else out(`${from}  ${to - from} bytes  UNREADABLE: no entry with a valid checksum`);
      },
    );
    return unreadable > 0 ? 1 : 0;
  },

  verify: async ([dir], options, out) => {
    if (dir === undefined) throw new UsageError('DIR is missing');
    const report = await verifyJournal(dir);
    const isSound = report.damaged.length + report.contradictions.length === 0;
    if (options.json === true) out(JSON.stringify({ isSound, ...report, ...counts(report) }));
    else for (const line of reportLines(report)) out(line);
    return isSound ? 0 : 1;
  },
};

const textOf = ({ body }: StoredMessage): string =>
  Buffer.from(body.subarray(0, SHOWN_BODY_BYTES)).toString() +
  (body.byteLength > SHOWN_BODY_BYTES ? `… (${body.byteLength} bytes)` : '');

const withText = (message: StoredMessage) => ({ ...message, body: Buffer.from(message.body).toString() });

function entryLines(entry: DescribedEntry): string[] {
  const { position, length, type, facts, acks = [], messages, stamps = [], durable } = entry;
  const lines = [`${position}  ${length} bytes  ${type}  crc ok  on disk before ${durable}`];
  if (facts !== undefined) lines.push(`    ${JSON.stringify(facts)}`);
  for (const { groupId, topicId, partition, runs } of acks) {
    const offsets = runs.map(([first, count]) =>
      count === 1 ? `${first}` : `${first}-${first + count - 1}`,
    );
    lines.push(`    group #${groupId} settled ${offsets.join(' ')} of #${topicId}/${partition}`);
  }
  for (const message of messages) {
    // A delayed or half message has no place yet.
    const place = message.offset < 0 ? 'waits' : `${message.partition}:${message.offset}`;
    lines.push(
      `    ${message.topic}.${message.tag} ${place} ${message.key ?? '-'} ${message.id} ${textOf(message)}`,
    );
  }
  for (const { producerId, epoch, sequence } of stamps)
    lines.push(`    producer #${producerId} epoch ${epoch} sequence ${sequence}`);
  return lines;
}

const counts = ({ entries, messages }: JournalReport) => ({
  entries: Object.fromEntries(entries),
  messages: Object.fromEntries(messages),
});

function reportLines(report: JournalReport): string[] {
  const { segments, bytes, entries, messages, damaged, quarantined, tornTail, contradictions } = report;
  const range = ({ path, from, to }: { path: string; from: number; to: number }): string =>
    `${path}, positions ${from} to ${to} (${to - from} bytes)`;
  return [
    `${segments} segments, ${bytes} bytes`,
    ...[...entries].map(([type, count]) => `  ${type} ${count}`),
    ...[...messages].map(([topic, count]) => `topic ${topic}: ${count} messages`),
    ...damaged.map((each) => `DAMAGED ${range(each)}`),
    ...quarantined.map((each) => `quarantined before: ${range(each)}`),
    ...report.lostOffsets.map(
      ({ topic, partition, from, to }) => `lost: ${topic}/${partition} offsets ${from} to ${to - 1}`,
    ),
    ...contradictions.map((each) => `CONTRADICTION ${each}`),
    ...(tornTail
      ? [`torn tail: ${range(tornTail)}; the next start cuts it, nothing in it was acknowledged`]
      : []),
    damaged.length + contradictions.length === 0 ? 'sound' : 'NOT SOUND',
  ];
}
