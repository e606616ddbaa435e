import type { MissedRange } from '#libs/messaging/port';
import type { BrokerHost } from '../host.js';
import { EntryType } from '../journal/format.js';
import type { Cursor, Place } from '../positions/cursor.js';
import type { Group } from './group.js';
import { type RecordedPlace, recordedPlace } from './group-facts.js';
import type { Groups } from './groups.js';

/** Ranges that a group's account of what it missed holds; the sum goes on. */
const MAX_RANGES = 100;

/** Moves groups over what lies before a journal position and is about to be dropped. On disk before anything is dropped. */
export async function passOver(host: BrokerHost, groups: Groups, before: number): Promise<void> {
  const atMs = host.now();
  const passed: { groupId: number; place: RecordedPlace }[] = [];
  let missed = 0;
  for (const group of groups.everyone()) {
    for (const [partition, cursor] of group.cursors) {
      const kept = partition.index.firstAtOrBehind(before, partition.start);
      if (cursor.settled.committed >= kept) continue;
      const place = recordedPlace(partition, kept);
      // Nothing is recorded of a broadcast.
      if (group.mode === 'shared') passed.push({ groupId: group.id, place });
      else miss(group, cursor, kept, atMs);
      missed += 1;
    }
  }
  if (passed.length > 0) {
    host.commit(EntryType.MISSED, { atMs, groups: passed });
    await host.journal.flush('durable');
  }
  if (missed > 0) {
    host.report({
      message: `retention passed ${missed} places of groups that were too far behind`,
    });
  }
}

/** Applies it to one group's place in a partition: `kept` is the first offset that it can still have. */
export function miss(group: Group, cursor: Cursor, kept: number, atMs: number): void {
  const { settled } = cursor;
  const inFlight = new Set<number>();
  for (const member of group.members) {
    for (const { offset } of member.inFlight.filter((each) => each.cursor === cursor)) inFlight.add(offset);
  }
  let last: MissedRange | undefined;
  for (let offset = settled.committed; offset < kept; offset++) {
    if (!settled.isSettled(offset)) last = account(cursor, offset, atMs, last);
  }
  group.withdraw((item) => item.cursor === cursor && item.offset < kept);
  cursor.skipTo(kept);
  // A key whose first message is in flight waits for it; the others go on.
  const stays = ({ offset, cursor: other }: Place, isFirst: boolean): boolean =>
    other !== cursor || offset >= kept || (isFirst && inFlight.has(offset));
  for (const place of group.lanes.retain(stays)) group.resume(place);
  group.activate(cursor);
}

/** Adds one offset to the account; `last` is the range that was added to just before. */
function account(
  { group: { missed }, partition }: Cursor,
  offset: number,
  atMs: number,
  last?: MissedRange,
): MissedRange {
  const place = { topic: partition.topic.name, partition: partition.number };
  const isHere = (range: MissedRange): boolean =>
    range.topic === place.topic && range.partition === place.partition;
  // Segments go one by one: what follows on what was missed before makes one range with it.
  const range = last ?? missed.ranges.findLast(isHere);
  missed.messages += 1;
  if (range?.to === offset) {
    range.to += 1;
    range.atMs = atMs;
    return range;
  }
  const begun = { ...place, from: offset, to: offset + 1, atMs };
  missed.ranges.push(begun);
  if (missed.ranges.length > MAX_RANGES) missed.ranges.shift();
  return begun;
}

/** A record makes no sense: no other try will help, so the group is done with it, and its key goes on. */
export function passOverUndecodable(host: BrokerHost, cursor: Cursor, offset: number, error: unknown): void {
  const { group, partition } = cursor;
  const atMs = host.now();
  if (group.mode === 'shared') {
    const place = recordedPlace(partition, offset);
    host.commit(EntryType.UNDECODABLE, { atMs, groupId: group.id, place });
  } else missUndecodable(cursor, offset, atMs);
  group.freeUnread({ cursor, offset });
  host.report({
    message: `${partition.topic.name}/${partition.number} offset ${offset} makes no sense; group ${group.name} passes over it`,
    error,
  });
}

/** Applies it. */
export function missUndecodable(cursor: Cursor, offset: number, atMs: number): void {
  if (!cursor.settle(offset)) return;
  account(cursor, offset, atMs);
}
