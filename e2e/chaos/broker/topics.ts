import type { Subscription } from '#libs/messaging';

/** One topic of each flush policy: a killed process takes nothing with it that the system has. */
export const TOPICS = [
  { name: 'chaos', partitions: 4, flush: 'sync' },
  { name: 'chaos-async', partitions: 2, flush: 'async' },
] as const;

export const GROUPS = [
  { name: 'chaos.any', order: 'unordered' },
  { name: 'chaos.by-key', order: 'by-key' },
] as const;

/** Shorter than a paused consumer is away, so that leases run out. */
export const LEASE_MS = 3_000;

export const subscriptionOf = ({ name, order }: (typeof GROUPS)[number]): Subscription => ({
  group: name,
  order,
  topics: TOPICS.map(({ name: topic }) => ({ topic })),
  leaseMs: LEASE_MS,
  maxInFlightMessages: 32,
});
