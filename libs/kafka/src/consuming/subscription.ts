import { MessagingError, type Subscription, retryTopic } from '#libs/messaging/port';
import type { StartOffset } from '../client/kafka-client.js';
import { checkGroupName, kafkaTopicOf, topicOf } from '../topic-names.js';
import { unsupported } from '../unsupported.js';

/** A subscription with its defaults. */
export type Terms = {
  group: string;
  isBroadcast: boolean;
  isByKey: boolean;
  isAtMostOnce: boolean;
  /** How often a message may fail before it is given up, where the order is by key. */
  blockTimes: number;
  startAt: StartOffset;
  maxBatchMessages: number;
  maxInFlightMessages: number;
  maxInFlightBytes: number;
  leaseMs: number;
  filters: Subscription['topics'];
};

const MAX_INSTANT_MS = 8_640_000_000_000_000;
const MAX_BLOCK_TIMES = { block: Infinity, skip: 0 } as const;

/** @throws {MessagingError} `INVALID_ARGUMENT`, `UNSUPPORTED` */
export function termsOf(subscription: Subscription): Terms {
  const { group, topics, order, mode, whenFailing = 'block', startAt = 'earliest' } = subscription;
  checkGroupName(group);
  if (topics.length === 0) throw invalid('topics: one at least');
  for (const { topic } of topics) if (!topic.endsWith('*')) kafkaTopicOf(topic);
  const isByKey = order === 'by-key';
  if (isByKey && mode === 'broadcast') throw invalid('a broadcast has no retries, and so no order by key');
  if (subscription.priorities === 'weighted') {
    if (isByKey) throw invalid('an order by key does not look at priorities');
    throw unsupported('priority', 'priorities: weighted');
  }
  if (subscription.automaticRedrive) throw unsupported('automatic redrive', 'automaticRedrive');
  if (subscription.whenFailing !== undefined && !isByKey)
    throw invalid('whenFailing is for subscriptions in order by key');
  const blockTimes = typeof whenFailing === 'object' ? whenFailing.blockTimes : MAX_BLOCK_TIMES[whenFailing];
  if (blockTimes !== Infinity && !(Number.isInteger(blockTimes) && blockTimes >= 0))
    throw invalid(`blockTimes is a whole number from 0, not ${String(blockTimes)}`);
  if (typeof startAt === 'object' && !(startAt.timestampMs >= 0 && startAt.timestampMs <= MAX_INSTANT_MS))
    throw invalid(`startAt.timestampMs: from 0 to ${MAX_INSTANT_MS}, not ${startAt.timestampMs}`);
  return {
    group,
    isBroadcast: mode === 'broadcast',
    isByKey,
    isAtMostOnce: subscription.guarantee === 'at-most-once',
    blockTimes,
    startAt: mode === 'broadcast' ? 'latest' : startAt,
    maxBatchMessages: whole('maxBatchMessages', subscription.maxBatchMessages, 1, 10_000),
    maxInFlightMessages: whole('maxInFlightMessages', subscription.maxInFlightMessages, 256, 65_536),
    maxInFlightBytes: whole('maxInFlightBytes', subscription.maxInFlightBytes, 16 * 1024 * 1024, 2 ** 31),
    leaseMs: whole('leaseMs', subscription.leaseMs, 30_000, 2 ** 31),
    filters: topics,
  };
}

function whole(name: string, value: number | undefined, otherwise: number, max: number): number {
  if (value === undefined) return otherwise;
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw invalid(`${name}: a whole number from 1 to ${max}, not ${value}`);
}

const invalid = (detail: string): MessagingError => new MessagingError('INVALID_ARGUMENT', detail);

/** Of Kafka's topics, those that a subscription reads. */
export function topicsRead(terms: Terms, existing: Iterable<string>): string[] {
  const read = new Set<string>();
  for (const { topic } of terms.filters) if (!topic.endsWith('*')) read.add(kafkaTopicOf(topic));
  const prefixes = terms.filters
    .filter(({ topic }) => topic.endsWith('*'))
    .map(({ topic }) => topic.slice(0, -1));
  for (const name of existing) {
    const topic = topicOf(name);
    if (topic !== undefined && prefixes.some((prefix) => topic.startsWith(prefix))) read.add(name);
  }
  const own = kafkaTopicOf(retryTopic(terms.group));
  if (terms.isBroadcast) read.delete(own);
  else read.add(own);
  return [...read].sort();
}

/** Whether a message's topic and tag are subscribed to. What comes back through a retry topic is looked at as it was sent. */
export function takes(terms: Terms, topic: string, tag: string): boolean {
  return terms.filters.some(
    (filter) =>
      (filter.topic.endsWith('*') ? topic.startsWith(filter.topic.slice(0, -1)) : filter.topic === topic) &&
      (filter.tags === undefined || filter.tags.length === 0 || filter.tags.includes(tag)),
  );
}
