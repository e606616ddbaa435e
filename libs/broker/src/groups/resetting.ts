import { MessagingError, type ResetTarget } from '#libs/messaging/port';
import type { AuditNote } from '../audit/audit.js';
import type { Engine } from '../engine/engine.js';
import { EntryType } from '../journal/format.js';
import { recordAt } from '../topics/record.js';
import type { Partition } from '../topics/topics.js';
import type { Cursor } from './cursor.js';
import type { Group } from './group.js';

/**
 * Sets where the group reads on, in all its topics. Deliveries in flight lose their lease. What waits for a
 * retry is not part of a topic's order and comes nevertheless.
 */
export async function resetGroup(
  engine: Engine,
  group: Group,
  to: ResetTarget,
  audit: AuditNote,
): Promise<void> {
  const cursors = [...group.cursors.values()].filter((cursor) => !cursor.isRetry);
  const targets = new Map<Cursor, number>();
  for (const cursor of cursors) {
    const offset = await targetOffset(engine, cursor.partition, to);
    if (offset !== undefined) targets.set(cursor, offset);
  }
  if (targets.size === 0)
    throw new MessagingError('INVALID_ARGUMENT', `group ${group.name} reads no such partition`);
  for (const member of group.members) {
    const lost = member.inFlight.all();
    if (lost.length === 0) continue;
    engine.settling.giveBack(lost);
    member.events.leaseLost(
      member.id,
      lost.map(({ deliveryId }) => deliveryId),
    );
  }
  group.withdraw(({ cursor }) => targets.has(cursor));
  engine.commit(EntryType.GROUP_RESET, {
    groupId: group.id,
    cursors: [...targets].map(([{ partition }, offset]) => [partition.topic.id, partition.number, offset]),
    audit,
  });
  await engine.journal.flush(true);
  for (const cursor of targets.keys()) group.activate(cursor);
  engine.dispatcher.wake(group);
}

async function targetOffset(
  engine: Engine,
  partition: Partition,
  to: ResetTarget,
): Promise<number | undefined> {
  if (to === 'earliest') return partition.start;
  if (to === 'latest') return partition.visibleEnd;
  if ('timestampMs' in to) return firstStoredAt(engine, partition, to.timestampMs);
  if (to.partition !== partition.number) return undefined;
  return Math.min(Math.max(to.offset, partition.start), partition.visibleEnd);
}

/** The first offset stored at or after a time; times grow with offsets, apart from corrections of the clock. */
export async function firstStoredAt(
  engine: Engine,
  partition: Partition,
  timestampMs: number,
): Promise<number> {
  let low = partition.start;
  let high = partition.visibleEnd;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    // Where a message is lost, the one before it answers for it; -1: there is none.
    const position = Math.abs(partition.index.get(middle));
    if (position === 1) {
      low = middle + 1;
      continue;
    }
    const block = await engine.load(position);
    if (recordAt.storedAtMs(block, position) < timestampMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
