import {
  type BrokerAdmin,
  type GroupInfo,
  MessagingError,
  type PageQuery,
  type ResetTarget,
  type StoredMessage,
  type TopicInfo,
  type TopicOptions,
  deadLetterTopic,
  retryTopic,
} from '#libs/messaging/port';
import type { KafkaClient } from '../client/kafka-client.js';
import type { DeadLetters } from '../dead-letters/dead-letters.js';
import { readRecord } from '../sending/records.js';
import type { TopicCatalog } from '../topic-catalog.js';
import { isInternal, kafkaTopicOf, topicOf } from '../topic-names.js';
import { unsupported } from '../unsupported.js';
import type { Audit } from './audit.js';
import { describeGroups } from './describe-groups.js';
import { pageOf, startOf } from './pages.js';
import { placesAfterReset } from './reset-group.js';

const MAX_PARTITIONS = 1_024;
const MAX_READ = 10_000;
const MAX_READ_BYTES = 4 * 1024 * 1024;
const READ_WAIT_MS = 1_000;

type Parts = {
  client: KafkaClient;
  catalog: TopicCatalog;
  deadLetters: DeadLetters;
  audit: Audit;
  /** Has this client's own consumers note what they have in flight. */
  tellFlight: () => Promise<unknown>;
};

/** What an operator asks, answered from Kafka's own requests and from what members note beside their commits. */
export function kafkaAdmin(parts: Parts): BrokerAdmin {
  const { client, catalog, deadLetters, audit } = parts;
  const groups = async (): Promise<GroupInfo[]> => {
    await parts.tellFlight();
    return describeGroups(client, deadLetters);
  };
  const topics = (): Promise<TopicInfo[]> => describeTopics(parts);
  return {
    createTopic: (topic, options = {}) => createTopic(catalog, topic, options),
    topics,
    topicsPage: async (query?: PageQuery) =>
      pageOf(
        await topics(),
        { nameOf: ({ topic }) => topic, countOf: ({ partitions }) => partitions.length },
        query,
      ),
    groups,
    groupsPage: async (query: PageQuery = {}) => {
      const { limit, from } = startOf(query);
      await parts.tellFlight();
      const page = { fromGroup: from.name, positions: from.skip + limit };
      return pageOf(
        await describeGroups(client, deadLetters, page),
        {
          nameOf: ({ group }) => group,
          countOf: ({ positions }) => positions.length,
          slice: (info, first, end) => ({ ...info, positions: info.positions.slice(first, end) }),
        },
        query,
      );
    },
    // None can be made: see the table in README.md.
    timers: async () => ({ pending: 0, pastDue: 0, nextDueAtMs: undefined }),
    transactions: async () => ({ pending: 0, parked: [] }),
    // A node without room stops; none refuses sends and goes on.
    storage: async () => ({ isShort: false, reservedBytes: 0, reserveBytes: 0 }),
    decideTransaction: () => Promise.reject(unsupported('transactional messages', 'decideTransaction')),
    read: (topic, partition, offset, limit) => read(parts, topic, partition, offset, limit),
    resetGroup: (group, to) => resetGroup(parts, group, to),
    deleteGroup: (group) => deleteGroup(parts, group),
    deleteTopic: (topic) => deleteTopic(parts, topic),
    deadLetters: (group, options) => deadLetters.list(group, options),
    redrive: (group, id) => deadLetters.redrive(group, id),
    redriveAll: (group, filter = {}, options = {}) => deadLetters.redriveAll(group, filter, options),
    editDeadLetter: (group, id, edit) => deadLetters.edit(group, id, edit),
    discard: (group, id) => deadLetters.discard(group, id),
    trace: () => Promise.reject(unsupported('trace', 'trace')),
    traceByKey: () => Promise.reject(unsupported('trace', 'traceByKey')),
    audit: (options) => audit.list(options),
  };
}

async function createTopic(catalog: TopicCatalog, topic: string, options: TopicOptions): Promise<void> {
  const { partitions, maxMessages, maxBytes, whenFull, flush, flushTimeoutMs } = options;
  if (maxMessages !== undefined || maxBytes !== undefined || whenFull !== undefined)
    throw unsupported('maximum length', 'maxMessages, maxBytes and whenFull');
  if (flush === 'async' || flushTimeoutMs !== undefined)
    throw unsupported('flush policy', 'flush and flushTimeoutMs');
  if (
    partitions !== undefined &&
    !(Number.isInteger(partitions) && partitions >= 1 && partitions <= MAX_PARTITIONS)
  )
    throw new MessagingError(
      'INVALID_ARGUMENT',
      `topic ${topic}: 1 to ${MAX_PARTITIONS} partitions, not ${partitions}`,
    );
  const made = await catalog.require(kafkaTopicOf(topic), partitions === undefined ? {} : { partitions });
  if (partitions === undefined || made === partitions) return;
  const detail = `topic ${topic} is there with ${made} partitions, not ${partitions}`;
  throw new MessagingError('INVALID_ARGUMENT', detail);
}

async function describeTopics({ client, catalog }: Parts): Promise<TopicInfo[]> {
  const names = [...(await catalog.all()).keys()].filter((name) => !isInternal(topicOf(name) ?? '%')).sort();
  const [starts, ends] = [await client.offsets(names, 'earliest'), await client.offsets(names, 'latest')];
  return names
    .filter((topic) => ends.has(topic))
    .map((topic) => ({
      topic,
      partitions: ends.get(topic)!.map((endOffset, partition) => ({
        partition,
        startOffset: starts.get(topic)?.[partition] ?? 0,
        endOffset,
      })),
    }));
}

async function read(
  { client, catalog }: Parts,
  topic: string,
  partition: number,
  offset: number,
  limit: number,
): Promise<StoredMessage[]> {
  const name = kafkaTopicOf(topic);
  const partitions = await catalog.existing(name);
  if (!(Number.isInteger(partition) && partition >= 0 && partition < partitions))
    throw new MessagingError(
      'INVALID_ARGUMENT',
      `topic ${topic} has ${partitions} partitions, not ${partition}`,
    );
  const start = (await client.offsets([name], 'earliest')).get(name)?.[partition] ?? 0;
  const end = (await client.offsets([name], 'latest')).get(name)?.[partition] ?? 0;
  const messages: StoredMessage[] = [];
  let bytes = 0;
  for (let next = Math.max(offset, start); next < end;) {
    const result = await client.read({ topic: name, partition }, next, READ_WAIT_MS);
    if (result.nextOffset === next) break;
    for (const record of result.records) {
      bytes += record.value?.length ?? 0;
      if (messages.length > 0 && bytes > MAX_READ_BYTES) return messages;
      if (record.value !== null) messages.push(readRecord(record).message);
      if (messages.length >= Math.min(limit, MAX_READ)) return messages;
    }
    next = result.nextOffset;
  }
  return messages;
}

async function resetGroup({ client, audit }: Parts, group: string, to: ResetTarget): Promise<void> {
  const places = await client.committed(group);
  if (places.length === 0) throw unknownGroup(group);
  const next = await placesAfterReset(client, group, places, to);
  try {
    await client.setCommitted(group, next);
  } catch (error) {
    if (!(error instanceof MessagingError && error.code === 'IN_USE')) throw error;
    throw unsupported('reset of a running group', `group ${group} has members: stop them first`);
  }
  await audit.add({ action: 'reset-group', group, subject: JSON.stringify(to), count: 1 });
}

async function deleteGroup({ client, catalog, deadLetters, audit }: Parts, group: string): Promise<void> {
  if (!(await client.groups()).some((each) => each.group === group)) throw unknownGroup(group);
  await client.deleteGroup(group);
  const topics = await catalog.all();
  for (const topic of [retryTopic(group), deadLetterTopic(group)].map(kafkaTopicOf))
    if (topics.has(topic)) await client.deleteTopic(topic);
  deadLetters.forget(group);
  catalog.forget();
  await audit.add({ action: 'delete-group', group, subject: group, count: 1 });
}

async function deleteTopic({ client, catalog, audit }: Parts, topic: string): Promise<void> {
  if (topic === '' || isInternal(topic))
    throw new MessagingError('UNKNOWN_TOPIC', `there is no topic ${topic}`);
  const name = kafkaTopicOf(topic);
  await catalog.all();
  await catalog.existing(name);
  const readers = (await client.groups()).filter(({ members }) =>
    members.some(({ places }) => places.some((place) => place.topic === name)),
  );
  if (readers.length > 0)
    throw new MessagingError(
      'IN_USE',
      `topic ${topic} is read by ${readers.map(({ group }) => group).join(', ')}`,
    );
  await client.deleteTopic(name);
  catalog.forget();
  await audit.add({ action: 'delete-topic', subject: topic, count: 1 });
}

const unknownGroup = (group: string): MessagingError =>
  new MessagingError('UNKNOWN_GROUP', `there is no group ${group}`);
