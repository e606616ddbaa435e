/** Applies what the journal says about groups' places in partitions. */
import type { Facts, Place } from '../engine/facts.js';
import type { BrokerState } from '../engine/state.js';
import type { Block } from '../journal/block.js';
import type { Cursor } from './cursor.js';
import { miss, missUndecodable } from './missing.js';

function cursorAt(state: BrokerState, groupId: number, [topicId, number]: Place): Cursor | undefined {
  const group = state.groups.byGroupId(groupId);
  const partition = state.topics.byTopicId(topicId).partitions[number];
  return partition && group.cursors.get(partition);
}

export function applyCursorsCreated(state: BrokerState, { groupId, cursors }: Facts['cursorsCreated']): void {
  const group = state.groups.byGroupId(groupId);
  for (const [topicId, number, offset] of cursors) {
    const partition = state.topics.byTopicId(topicId).partitions[number];
    if (partition && !group.cursors.has(partition)) group.addCursor(partition, offset);
  }
}

/** An `ACKED` entry, as `encodeAcks` writes it, between two positions of a block. */
export function applyAcked(state: BrokerState, block: Block, from: number, to: number): void {
  for (let position = from; position < to;) {
    const at = position - block.start;
    const place: Place = [block.view.getUint32(at + 4, true), block.view.getUint16(at + 8, true), 0];
    const cursor = ackedCursor(state, block.view.getUint32(at, true), place);
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
function ackedCursor(state: BrokerState, groupId: number, place: Place): Cursor | undefined {
  let found: Cursor | undefined;
  state.orUnplaced(() => {
    found = cursorAt(state, groupId, place);
  });
  return found;
}

/** The message went on to the group's retries or dead letters. */
export function settleMoved(state: BrokerState, { groupId, place }: Facts['moved']): void {
  cursorAt(state, groupId, place)?.settle(place[2]);
}

export function applyHeldBack(state: BrokerState, facts: Facts['heldBack']): void {
  const { groupId, place, ...held } = facts;
  cursorAt(state, groupId, place)?.heldBack.set(place[2], held);
}

export function applyReset(state: BrokerState, { groupId, cursors }: Facts['groupReset']): void {
  for (const place of cursors) cursorAt(state, groupId, place)?.reset(place[2]);
}

export function applyMissed(state: BrokerState, { atMs, groups }: Facts['missed']): void {
  for (const { groupId, place } of groups) {
    const cursor = cursorAt(state, groupId, place);
    if (cursor) miss(cursor, place[2], atMs);
  }
}

export function applyUndecodable(state: BrokerState, { atMs, groupId, place }: Facts['undecodable']): void {
  const cursor = cursorAt(state, groupId, place);
  if (cursor) missUndecodable(cursor, place[2], atMs);
}

export function applyInterests(state: BrokerState, { groupId, interests }: Facts['interests']): void {
  state.groups.byGroupId(groupId).takeInterest(interests);
}
