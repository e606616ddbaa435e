import { type GroupInfo, retryTopic } from '#libs/messaging/port';
import type { Committed, GroupDescription, KafkaClient } from '../client/kafka-client.js';
import { lagOf, readNote } from '../consuming/offset-window.js';
import type { DeadLetters } from '../dead-letters/dead-letters.js';
import { kafkaTopicOf } from '../topic-names.js';

/** A broadcast's member has a group of its own in Kafka: `ops.screen~4f1c…`. */
const BROADCAST = /^(.+)~[0-9a-f-]{36}$/;

/** All groups, from Kafka's own descriptions and from the notes of their members. What is in flight is as of the last 50 ms. */
export async function describeGroups(client: KafkaClient, deadLetters: DeadLetters): Promise<GroupInfo[]> {
  const described = await client.groups();
  const shared = described.filter(({ group }) => !BROADCAST.test(group));
  const infos = await Promise.all(
    shared.map(async (description) => {
      const { group } = description;
      const places = await client.committed(group);
      const topics = [...new Set(places.map(({ topic }) => topic))];
      const ends = topics.length === 0 ? new Map<string, number[]>() : await client.offsets(topics, 'latest');
      return describe(description, places, ends, await deadLetters.count(group));
    }),
  );
  return [...infos, ...broadcasts(described)].sort((a, b) => (a.group < b.group ? -1 : 1));
}

function describe(
  { group, members }: GroupDescription,
  all: readonly Committed[],
  ends: ReadonlyMap<string, readonly number[]>,
  deadLetters: number,
): GroupInfo {
  const retries = kafkaTopicOf(retryTopic(group));
  const places = all
    // Of a topic that was deleted Kafka forgets the places a little later.
    .filter(({ topic }) => ends.has(topic))
    .map((place) => ({
      ...place,
      endOffset: ends.get(place.topic)?.[place.partition] ?? 0,
      told: readNote(place.note),
      isRetry: place.topic === retries,
    }));
  const lags = places.map((place) => ({ ...place, lag: lagOf(place, place.endOffset) }));
  const sum = (of: readonly number[]): number => of.reduce((total, each) => total + each, 0);
  const inFlightOf = (client: GroupDescription['members'][number]): number =>
    sum(
      places
        .filter(({ topic, partition }) =>
          client.places.some((place) => place.topic === topic && place.partition === partition),
        )
        .map(({ told }) => told.inFlight ?? 0),
    );
  const inFlight = sum(places.map(({ told }) => told.inFlight ?? 0));
  const ofRetries = lags.filter(({ isRetry }) => isRetry);
  return {
    group,
    mode: 'shared',
    members: members.map((member) => ({
      id: member.id,
      client: member.client,
      inFlight: inFlightOf(member),
    })),
    lag: sum(lags.map(({ lag }) => lag)),
    inFlight,
    retrying: Math.max(0, sum(ofRetries.map(({ lag, told }) => lag - (told.inFlight ?? 0)))),
    deadLetters,
    deadLettersDropped: 0,
    acked: sum(places.map(({ told }) => told.acked ?? 0)),
    positions: places
      .filter(({ isRetry }) => !isRetry)
      .map(({ topic, partition, offset, endOffset }) => ({
        topic,
        partition,
        committedOffset: offset,
        endOffset,
      }))
      .sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1)),
    unreadable: [],
    missed: { messages: 0, ranges: [] },
  };
}

function broadcasts(described: readonly GroupDescription[]): GroupInfo[] {
  const byName = new Map<string, GroupDescription['members']>();
  for (const { group, members } of described) {
    const name = BROADCAST.exec(group)?.[1];
    if (name !== undefined) byName.set(name, [...(byName.get(name) ?? []), ...members]);
  }
  return [...byName].map(([group, members]) => ({
    group,
    mode: 'broadcast',
    members: members.map(({ id, client }) => ({ id, client, inFlight: 0 })),
    lag: 0,
    inFlight: 0,
    retrying: 0,
    deadLetters: 0,
    deadLettersDropped: 0,
    acked: 0,
    positions: [],
    unreadable: [],
    missed: { messages: 0, ranges: [] },
  }));
}
