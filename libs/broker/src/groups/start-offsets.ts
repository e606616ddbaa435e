import type { Subscription } from '#libs/messaging/port';
import type { BrokerHost } from '../host.js';
import type { Partition, Topics } from '../topics/topics.js';
import type { Groups } from './groups.js';
import { Interest } from './interests.js';
import { firstStoredAt } from './reset-group.js';

/** By partition: the first offset of a group that has no place there yet. */
export type Starts = ReadonlyMap<Partition, number>;

/**
 * Where a subscription that starts at a time begins. Found before it joins, because when a message was stored is in its
 * record; a topic that is made meanwhile has nothing older.
 */
export async function startsAt(
  host: Pick<BrokerHost, 'load'>,
  stores: { readonly topics: Topics; readonly groups: Groups },
  subscription: Subscription,
): Promise<Starts> {
  const { group: name, topics, startAt, mode } = subscription;
  const starts = new Map<Partition, number>();
  if (typeof startAt !== 'object' || mode === 'broadcast') return starts;
  const interest = new Interest(name, topics);
  const places = stores.groups.get(name)?.cursors;
  for (const topic of [...stores.topics.all()]) {
    if (!interest.wants(topic.name)) continue;
    for (const partition of topic.partitions) {
      if (places?.has(partition)) continue;
      starts.set(partition, await firstStoredAt(host, partition, startAt.timestampMs));
    }
  }
  return starts;
}
