import { type GroupInfo, retryTopic } from '#libs/messaging/port';
import type { Committed, GroupDescription, KafkaClient } from '../client/kafka-client.js';
import { lagOf, readNote } from '../consuming/offset-window.js';
import type { DeadLetters } from '../dead-letters/dead-letters.js';
import { kafkaTopicOf } from '../topic-names.js';

/** A broadcast's member has a group of its own in Kafka: `ops.screen~4f1c…`. */
const BROADCAST = /^(.+)~[0-9a-f-]{36}$/;

/**
 * Groups in the order of their names, from Kafka's own descriptions and from the notes of their members. What is in flight is as of
 * the last 50 ms. Each group costs a few requests: with `page` only those from a name on are asked for, until there are more
 * positions than that.
 */
export async function describeGroups(
  client: KafkaClient,
  deadLetters: DeadLetters,
  page = { fromGroup: '', positions: Infinity },
): Promise<GroupInfo[]> {
  const described = await client.groups();
  const inOrder = [
    ...described.filter(({ group }) => !BROADCAST.test(group)).map(byName),
    ...broadcasts(described),
  ]
    .filter(({ name }) => name >= page.fromGroup)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const infos: GroupInfo[] = [];
  let positions = 0;
  for (const { shared, info } of inOrder) {
    if (positions > page.positions) break;
    const next = shared === undefined ? info : await describeShared(client, deadLetters, shared);
    infos.push(next);
    positions += next.positions.length;
  }
  return infos;
}

type Named = { name: string } & (
  { shared: GroupDescription; info?: undefined } | { shared?: undefined; info: GroupInfo }
);

const byName = (shared: GroupDescription): Named => ({ name: shared.group, shared });

async function describeShared(
  client: KafkaClient,
  deadLetters: DeadLetters,
  description: GroupDescription,
): Promise<GroupInfo> {
  const { group } = description;
  const places = await client.committed(group);
  const topics = [...new Set(places.map(({ topic }) => topic))];
  const ends = topics.length === 0 ? new Map<string, number[]>() : await client.offsets(topics, 'latest');
  return describe(description, places, ends, await deadLetters.count(group));
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

function broadcasts(described: readonly GroupDescription[]): Named[] {
  const membersOf = new Map<string, GroupDescription['members']>();
  for (const { group, members } of described) {
    const name = BROADCAST.exec(group)?.[1];
    if (name !== undefined) membersOf.set(name, [...(membersOf.get(name) ?? []), ...members]);
  }
  return [...membersOf].map(([group, members]) => ({
    name: group,
    info: {
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
    },
  }));
}
