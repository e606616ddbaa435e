import { deadLetterTopic, retryTopic } from '#libs/messaging/port';
import { LETTER_TOPIC } from '../dead-letters/letters.js';
import type { TopicCatalog } from '../topic-catalog.js';
import { isInternal, kafkaTopicOf } from '../topic-names.js';
import type { Terms } from './subscription.js';

/** Settled retries are kept for so long; one that waits longer for its time would be lost. */
const RETRIES_KEPT_MS = 90 * 24 * 3_600_000;
const MIN_RETRY_PARTITIONS = 4;

/**
 * Makes what a group reads and writes. Its retry topic has as many partitions as the widest of its topics: a message comes back
 * in the partition of the number that it came from, which the same member has, so that a key is never at two members.
 */
export async function prepareTopics(
  catalog: TopicCatalog,
  { group, isBroadcast, filters }: Terms,
): Promise<void> {
  let widest = MIN_RETRY_PARTITIONS;
  for (const { topic } of filters) {
    if (topic.endsWith('*')) continue;
    const more = isInternal(topic) ? LETTER_TOPIC : {};
    widest = Math.max(widest, await catalog.require(kafkaTopicOf(topic), more));
  }
  if (isBroadcast) return;
  await catalog.require(kafkaTopicOf(deadLetterTopic(group)), LETTER_TOPIC);
  await catalog.require(kafkaTopicOf(retryTopic(group)), {
    partitions: widest,
    settings: { 'retention.ms': String(RETRIES_KEPT_MS) },
  });
}
