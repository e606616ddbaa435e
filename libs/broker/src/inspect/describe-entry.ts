import type { StoredMessage } from '#libs/messaging/port';
import type { Facts } from '../engine/facts.js';
import type { Snapshot } from '../engine/snapshot.js';
import { ENTRY_HEADER_BYTES, EntryType, entryTypeName } from '../journal/format.js';
import type { FoundEntry } from '../journal/scan.js';
import { isStamp, readStamp } from '../producers/stamp.js';
import type { ProducerStamp } from '../session.js';
import { readFired } from '../timers/fired-entry.js';
import { readRecord } from '../topics/read-message.js';
import { positionsOf, recordAt } from '../topics/record.js';

/** What a group settled in one partition: offsets `first` to `first + count - 1`, per run. */
export type DescribedAck = {
  groupId: number;
  topicId: number;
  partition: number;
  runs: [first: number, count: number][];
};

export type DescribedEntry = {
  position: number;
  length: number;
  type: string;
  /** Everything before this position was on disk when the entry was made. */
  durable: number;
  facts?: unknown;
  acks?: DescribedAck[];
  messages: StoredMessage[];
  /** Under which producers' sequences messages of it were appended. */
  stamps?: ProducerStamp[];
};

/** Topic ids as far as the entries seen before name them; a segment begins with a snapshot that names all. */
export type TopicNames = Map<number, string>;

/** Decodes all of a valid entry, and learns topic names from it. */
export function describeEntry(
  { type, position, block, at, length }: FoundEntry,
  names: TopicNames,
): DescribedEntry {
  const entry: DescribedEntry = {
    position,
    length,
    type: entryTypeName(type),
    durable: block.view.getFloat64(at + 10, true),
    messages: [],
  };
  if (type === EntryType.ACKED) return { ...entry, acks: acksOf({ type, position, block, at, length }) };
  const bodyAt = at + ENTRY_HEADER_BYTES;
  const factsLength = block.view.getUint32(bodyAt, true);
  if (type === EntryType.TIMERS_FIRED) {
    entry.facts = { timers: readFired(block, position + ENTRY_HEADER_BYTES).timers };
  } else if (factsLength > 0) {
    const text = block.bytes.toString('utf8', bodyAt + 4, bodyAt + 4 + factsLength);
    entry.facts = JSON.parse(text) as unknown;
    learnNames(type, entry.facts, names);
  }
  const from = position + ENTRY_HEADER_BYTES + 4 + factsLength;
  for (const place of positionsOf(block, from, position + length)) {
    if (isStamp(block, place)) (entry.stamps ??= []).push(readStamp(block, place));
    else {
      const topicId = recordAt.topicId(block, place);
      entry.messages.push(readRecord(block, place, names.get(topicId) ?? `#${topicId}`).message);
    }
  }
  return entry;
}

function learnNames(type: number, facts: unknown, names: TopicNames): void {
  let topics: readonly Facts['topicCreated'][] = [];
  if (type === EntryType.TOPIC_CREATED) topics = [facts as Facts['topicCreated']];
  if (type === EntryType.SNAPSHOT) topics = (facts as Snapshot).topics;
  for (const { id, name } of topics) names.set(id, name);
}

function acksOf({ block, at, length }: FoundEntry): DescribedAck[] {
  const { view } = block;
  const acks: DescribedAck[] = [];
  for (let place = at + ENTRY_HEADER_BYTES; place < at + length;) {
    const runs = view.getUint16(place + 10, true);
    acks.push({
      groupId: view.getUint32(place, true),
      topicId: view.getUint32(place + 4, true),
      partition: view.getUint16(place + 8, true),
      runs: Array.from({ length: runs }, (_, run) => [
        view.getFloat64(place + 12 + run * 12, true),
        view.getUint32(place + 20 + run * 12, true),
      ]),
    });
    place += 12 + runs * 12;
  }
  return acks;
}
