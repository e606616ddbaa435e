/** Applies what the journal says about groups' places in partitions. */
import type { FoundEntry } from '../journal/scan.js';
import { readAcks } from '../positions/acked-entry.js';
import type { Topics } from '../topics/topics.js';
import type { Cursor } from '../positions/cursor.js';
import type { GroupFacts, RecordedPlace } from './group-facts.js';
import type { Groups } from './groups.js';
import { miss, missUndecodable } from './missing.js';

export type CursorStores = {
  readonly topics: Topics;
  readonly groups: Groups;
  /** Behind a gap, what refers to something in it is counted instead of refused. */
  readonly gap: { orUnplaced(apply: () => void): void };
};

function cursorAt(
  stores: CursorStores,
  groupId: number,
  [topicId, number]: RecordedPlace,
): Cursor | undefined {
  const group = stores.groups.byGroupId(groupId);
  const partition = stores.topics.byTopicId(topicId).partitions[number];
  return partition && group.cursors.get(partition);
}

export function applyCursorsCreated(
  stores: CursorStores,
  { groupId, cursors }: GroupFacts['cursorsCreated'],
): void {
  const group = stores.groups.byGroupId(groupId);
  for (const [topicId, number, offset] of cursors) {
    const partition = stores.topics.byTopicId(topicId).partitions[number];
    if (partition && !group.cursors.has(partition)) group.addCursor(partition, offset);
  }
}

export function applyAcked(stores: CursorStores, entry: FoundEntry): void {
  for (const { groupId, topicId, partition, runs } of readAcks(entry)) {
    const cursor = ackedCursor(stores, groupId, [topicId, partition, 0]);
    if (!cursor) continue;
    for (const [first, count] of runs)
      for (let offset = first; offset < first + count; offset++) cursor.settle(offset);
  }
}

/** Behind a gap, the others of the entry count even when one names a group that is not known. */
function ackedCursor(stores: CursorStores, groupId: number, place: RecordedPlace): Cursor | undefined {
  let found: Cursor | undefined;
  stores.gap.orUnplaced(() => {
    found = cursorAt(stores, groupId, place);
  });
  return found;
}

/** The message went on to the group's retries or dead letters. */
export function settleMoved(stores: CursorStores, { groupId, place }: GroupFacts['moved']): void {
  cursorAt(stores, groupId, place)?.settle(place[2]);
}

export function applyHeldBack(stores: CursorStores, facts: GroupFacts['heldBack']): void {
  const { groupId, place, ...held } = facts;
  cursorAt(stores, groupId, place)?.heldBack.set(place[2], held);
}

export function applyReset(stores: CursorStores, { groupId, cursors }: GroupFacts['groupReset']): void {
  for (const place of cursors) cursorAt(stores, groupId, place)?.reset(place[2]);
}

export function applyMissed(stores: CursorStores, { atMs, groups }: GroupFacts['missed']): void {
  for (const { groupId, place } of groups) {
    const cursor = cursorAt(stores, groupId, place);
    if (cursor) miss(stores.groups.byGroupId(groupId), cursor, place[2], atMs);
  }
}

export function applyUndecodable(
  stores: CursorStores,
  { atMs, groupId, place }: GroupFacts['undecodable'],
): void {
  const cursor = cursorAt(stores, groupId, place);
  if (cursor) missUndecodable(cursor, place[2], atMs);
}

export function applyInterests(stores: CursorStores, { groupId, interests }: GroupFacts['interests']): void {
  stores.groups.byGroupId(groupId).takeInterest(interests);
}
