import { MessagingError, type ResetTarget } from '#libs/messaging/port';
import type { AuditNote } from '../audit/audit.js';
import type { BrokerHost } from '../host.js';
import { EntryType } from '../journal/format.js';
import { recordAt } from '../topics/record.js';
import type { Partition } from '../topics/topics.js';
import type { Cursor } from '../positions/cursor.js';
import type { Group } from './group.js';
import { recordedPlace } from './group-facts.js';
import type { Leases } from './leases.js';

/**
 * Sets where the group reads on, in all its topics. Deliveries in flight lose their lease. What waits for a
 * retry is not part of a topic's order and comes nevertheless.
 */
export async function resetGroup(
  host: BrokerHost,
  leases: Leases,
  group: Group,
  to: ResetTarget,
  audit: AuditNote,
): Promise<void> {
  const cursors = [...group.cursors.values()].filter((cursor) => !cursor.isRetry);
  const targets = new Map<Cursor, number>();
  for (const cursor of cursors) {
    const offset = await targetOffset(host, cursor.partition, to);
    if (offset !== undefined) targets.set(cursor, offset);
  }
  if (targets.size === 0)
    throw new MessagingError('INVALID_ARGUMENT', `group ${group.name} reads no such partition`);
  // It may have been deleted while messages were read.
  if (group.isDeleted) throw new MessagingError('UNKNOWN_GROUP', `group ${group.name}`);
  for (const member of group.members) {
    const lost = member.inFlight.all();
    if (lost.length === 0) continue;
    leases.giveBack(lost);
    member.events.leaseLost(
      member.id,
      lost.map(({ deliveryId }) => deliveryId),
    );
  }
  group.withdraw(({ cursor }) => targets.has(cursor));
  host.commit(EntryType.GROUP_RESET, {
    groupId: group.id,
    cursors: [...targets].map(([{ partition }, offset]) => recordedPlace(partition, offset)),
    audit,
  });
  await host.journal.flush('durable');
  for (const cursor of targets.keys()) group.activate(cursor);
  group.wake();
}

async function targetOffset(
  host: Pick<BrokerHost, 'load'>,
  partition: Partition,
  to: ResetTarget,
): Promise<number | undefined> {
  if (to === 'earliest') return partition.start;
  if (to === 'latest') return partition.visibleEnd;
  if ('timestampMs' in to) return firstStoredAt(host, partition, to.timestampMs);
  if (to.partition !== partition.number) return undefined;
  return Math.min(Math.max(to.offset, partition.start), partition.visibleEnd);
}

/** The first offset stored at or after a time; times grow with offsets, apart from corrections of the clock. */
export async function firstStoredAt(
  host: Pick<BrokerHost, 'load'>,
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
    const block = await host.load(position);
    if (recordAt.storedAtMs(block, position) < timestampMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
