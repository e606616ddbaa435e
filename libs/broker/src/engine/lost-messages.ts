/**
 * What is known about messages whose bytes were damaged and quarantined (`onDamage: 'quarantine'`). Their
 * offsets stay taken: a consumer passes over them, and no other message ever has them.
 */
import type { Group } from '../groups/group.js';
import type { Partition } from '../topics/topics.js';
import { type Snapshot, restoreAnswers } from './snapshot.js';
import { removeGroup, removeTopic } from './removing.js';
import type { Stores } from './stores.js';

/** Offsets `from` to `to - 1` of a partition. */
export type LostOffsets = { topic: string; partition: number; from: number; to: number };

/** Ranges of offsets whose messages are lost, in order. */
export function lostOffsets(stores: Stores): LostOffsets[] {
  const lost: LostOffsets[] = [];
  for (const { name, partitions } of stores.topics.all()) {
    for (const { number, start, end, index } of partitions) {
      let from = -1;
      for (let offset = start; offset <= end; offset++) {
        const isLost = offset < end && index.get(offset) < 0;
        if (isLost && from < 0) from = offset;
        if (isLost || from < 0) continue;
        lost.push({ topic: name, partition: number, from, to: offset });
        from = -1;
      }
    }
  }
  return lost;
}

/**
 * A snapshot behind a gap knows what happened in it: topics and groups that were made, how far partitions
 * and groups had come, which dead letters were left. Only the messages themselves are not in it.
 */
export function mergeSnapshot(stores: Stores, snapshot: Snapshot): void {
  for (const { ends, createdAt, isDeleted, ...facts } of snapshot.topics) {
    const topic = stores.topics.find(facts.id) ?? stores.topics.create(facts, createdAt);
    ends.forEach((end, number) => extend(topic.partitions[number], end));
    if (isDeleted) removeTopic(stores, topic);
  }
  for (const { cursors, createdAt, missed, interests, isDeleted, ...facts } of snapshot.groups) {
    const group = stores.groups.find(facts.id) ?? stores.groups.create(facts, createdAt);
    if (isDeleted) removeGroup(stores, group.id);
    if (missed.messages > group.missed.messages) group.missed = missed;
    if (interests) group.takeInterest(interests);
    for (const place of cursors) mergeCursor(stores, group, place);
  }
  stores.deadLetters.restore(snapshot.letters);
  stores.audit.restore(snapshot.acts);
  for (const producer of snapshot.producers) stores.sequences.catchUp(producer);
  restoreAnswers(stores, snapshot);
}

/**
 * The gap took the beginning of the journal: what it held before the snapshot is lost from where the slowest group
 * was. (Without a gap, retention dropped the beginning, and every group was past it.)
 */
export function beginWhereGroupsAre(stores: Stores): void {
  for (const { partitions } of stores.topics.all()) {
    for (const partition of partitions) {
      const { end } = partition;
      let start = end;
      for (const group of stores.groups.all()) {
        start = Math.min(start, group.cursors.get(partition)?.settled.committed ?? end);
      }
      partition.beginAt(start);
      extend(partition, end);
    }
  }
}

function mergeCursor(
  stores: Stores,
  group: Group,
  { topicId, partition: number, committed, ahead, heldBack }: Snapshot['groups'][number]['cursors'][number],
): void {
  const partition = stores.topics.byTopicId(topicId).partitions[number];
  if (!partition) return;
  const cursor = group.cursors.get(partition) ?? group.addCursor(partition, committed);
  // A reset in the gap may have taken it back.
  if (committed < cursor.settled.committed) cursor.reset(committed);
  while (cursor.settled.committed < committed) cursor.settled.settle(cursor.settled.committed);
  for (const [first, count] of ahead) for (let i = 0; i < count; i++) cursor.settled.settle(first + i);
  cursor.heldBack.clear();
  for (const [offset, held] of heldBack) cursor.heldBack.set(offset, held);
}

function extend(partition: Partition | undefined, end: number): void {
  while (partition && partition.end < end) partition.index.pushHole();
}

/**
 * Once everything is replayed: offsets that a group had settled were taken, whether or not a later message shows it;
 * and nothing waits any longer for a message that is lost.
 */
export function settleLoss(stores: Stores): void {
  for (const group of stores.groups.all()) {
    for (const { partition, settled, heldBack } of group.cursors.values()) {
      const [first, count] = settled.runs().at(-1) ?? [settled.committed, 0];
      extend(partition, first + count);
      for (const offset of heldBack.keys()) if (partition.index.get(offset) < 0) heldBack.delete(offset);
    }
  }
  for (const group of stores.deadLetters.groups()) {
    for (const { id, offset, position } of [...stores.deadLetters.live(group)]) {
      if (position < 0) stores.deadLetters.remove(group, id, offset);
    }
  }
}
