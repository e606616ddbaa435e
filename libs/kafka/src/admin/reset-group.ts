import { MessagingError, type ResetTarget, retryTopic } from '#libs/messaging/port';
import type { Committed, KafkaClient } from '../client/kafka-client.js';
import { kafkaTopicOf } from '../topic-names.js';

/** Where a group is after a reset. What waits to be tried again is passed over: an earlier place brings it anew. */
export async function placesAfterReset(
  client: KafkaClient,
  group: string,
  places: readonly Committed[],
  to: ResetTarget,
): Promise<Committed[]> {
  const retries = kafkaTopicOf(retryTopic(group));
  if (typeof to === 'object' && 'offset' in to) return placesAtOffset(places, retries, to);
  const topics = [...new Set(places.map(({ topic }) => topic))];
  const found = await client.offsets(
    topics.filter((topic) => topic !== retries),
    to,
  );
  const ends = await client.offsets(topics, 'latest');
  return places.flatMap(({ topic, partition }) => {
    const offset = (topic === retries ? ends : found).get(topic)?.[partition];
    return offset === undefined ? [] : [{ topic, partition, offset, note: '' }];
  });
}

function placesAtOffset(
  places: readonly Committed[],
  retries: string,
  { partition, offset }: { partition: number; offset: number },
): Committed[] {
  const concerned = places.filter((place) => place.topic !== retries && place.partition === partition);
  if (concerned.length === 0)
    throw new MessagingError('INVALID_ARGUMENT', `no topic has a partition ${partition}`);
  return concerned.map((place) => ({ ...place, offset, note: '' }));
}
