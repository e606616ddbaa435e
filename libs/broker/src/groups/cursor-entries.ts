/** Applies what the journal says about groups' places in partitions. */
import type { Block } from '../journal/block.js';
import type { Topics } from '../topics/topics.js';
import type { Cursor } from '../positions/cursor.js';
import type { GroupFacts, RecordedPlace } from './group-facts.js';
import type { Groups } from './groups.js';
import { miss, missUndecodable } from './missing.js';

export type CursorStores = {
  readonly topics: Topics;
  readonly groups: Groups;
  /** Behind a gap, what refers to something in it is counted instead of refused. */
  orUnplaced(apply: () => void): void;
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

/** An `ACKED` entry, as `PendingAcks` writes it, between two positions of a block. */
export function applyAcked(stores: CursorStores, block: Block, from: number, to: number): void {
  for (let position = from; position < to;) {
    const at = position - block.start;
    const place: RecordedPlace = [block.view.getUint32(at + 4, true), block.view.getUint16(at + 8, true), 0];
    const cursor = ackedCursor(stores, block.view.getUint32(at, true), place);
    const runs = block.view.getUint16(at + 10, true);
    for (let run = 0; run < runs; run++) {
      const first = block.view.getFloat64(at + 12 + run * 12, true);
      const count = block.view.getUint32(at + 20 + run * 12, true);
      for (let offset = first; offset < first + count; offset++) cursor?.settle(offset);
    }
    position += 12 + runs * 12;
  }
}

/** Behind a gap, the others of the entry count even when one names a group that is not known. */
function ackedCursor(stores: CursorStores, groupId: number, place: RecordedPlace): Cursor | undefined {
  let found: Cursor | undefined;
  stores.orUnplaced(() => {
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
