import type { StoredMessage } from '#libs/messaging/port';
import type { Facts } from '../engine/facts.js';
import type { Snapshot } from '../engine/snapshot.js';
import { ENTRY_HEADER_BYTES, EntryType, entryTypeName } from '../journal/format.js';
import { type FoundEntry, bodyOf } from '../journal/scan.js';
import { type AckedRuns, readAcks } from '../positions/acked-entry.js';
import { isStamp, readStamp } from '../producers/stamp.js';
import type { ProducerStamp } from '../session.js';
import { readFired } from '../timers/fired-entry.js';
import { readRecord } from '../topics/read-message.js';
import { positionsOf, recordAt } from '../topics/record.js';

export type DescribedEntry = {
  position: number;
  length: number;
  type: string;
  /** Everything before this position was on disk when the entry was made. */
  durable: number;
  facts?: unknown;
  acks?: AckedRuns[];
  messages: StoredMessage[];
  /** Under which producers' sequences messages of it were appended. */
  stamps?: ProducerStamp[];
};

/** Topic ids as far as the entries seen before name them; a segment begins with a snapshot that names all. */
export type TopicNames = Map<number, string>;

/** Decodes all of a valid entry, and learns topic names from it. */
export function describeEntry(found: FoundEntry, names: TopicNames): DescribedEntry {
  const { type, position, block, at, length } = found;
  const entry: DescribedEntry = {
    position,
    length,
    type: entryTypeName(type),
    durable: block.view.getFloat64(at + 10, true),
    messages: [],
  };
  if (type === EntryType.ACKED) return { ...entry, acks: [...readAcks(found)] };
  const { facts, recordsFrom } = type === EntryType.TIMERS_FIRED ? firedBody(found) : bodyOf(found);
  if (facts !== undefined) {
    entry.facts = facts;
    learnNames(type, facts, names);
  }
  for (const place of positionsOf(block, recordsFrom, position + length)) {
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

function firedBody({ block, position }: FoundEntry): ReturnType<typeof bodyOf> {
  const { timers, recordsFrom } = readFired(block, position + ENTRY_HEADER_BYTES);
  return { facts: { timers }, recordsFrom };
}
