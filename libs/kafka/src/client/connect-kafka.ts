import type { Admin } from 'kafkajs';
import Cluster from 'kafkajs/src/cluster/index.js';
import createSocketFactory from 'kafkajs/src/network/socketFactory.js';
import { MessagingError } from '#libs/messaging/port';
import { decodePlaces } from './assignment.js';
import { kafkaErrorType, messagingError } from './failures.js';
import { GroupMember } from './group-member.js';
import { byTopic } from './places.js';
import type * as Seam from './kafka-client.js';
import { type ConnectionConfig, Kafka, logLevel, logTo } from './kafkajs.js';
import { LogReader } from './log-reader.js';
import { type ProducerOptions, Producers } from './producers.js';

export type ClientOptions = ConnectionConfig & ProducerOptions & { clientId: string };

const RETRIES = { initialRetryTime: 100, maxRetryTime: 1_000, retries: 5 };
/** As Kafka's own clients. */
const METADATA_MAX_AGE_MS = 300_000;

export const connectKafka = (options: ClientOptions): Seam.KafkaClient => new KafkajsClient(options);

class KafkajsClient implements Seam.KafkaClient {
  private readonly kafka: InstanceType<typeof Kafka>;
  private readonly producers: Producers;
  private admin: Promise<Admin> | undefined;
  private reader: Promise<LogReader> | undefined;
  private readonly members = new Set<GroupMember>();

  constructor(private readonly options: ClientOptions) {
    const { brokers, ssl, sasl, socketFactory, clientId, log, requestTimeoutMs: requestTimeout } = options;
    this.kafka = new Kafka({
      brokers,
      clientId,
      ...(ssl !== undefined && { ssl }),
      ...(sasl !== undefined && { sasl }),
      ...(socketFactory !== undefined && { socketFactory }),
      requestTimeout,
      connectionTimeout: Math.min(requestTimeout, 3_000),
      retry: RETRIES,
      logLevel: logLevel.WARN,
      logCreator: logTo(log),
    });
    this.producers = new Producers(this.kafka, options);
  }

  append(records: readonly Seam.NewRecord[]): Promise<number[]> {
    return this.producers.append(records);
  }

  async join(options: Seam.MembershipOptions): Promise<Seam.Membership> {
    const cluster = this.newCluster(options.clientId);
    const member = await GroupMember.join(
      new LogReader(cluster),
      options,
      async (topics) => {
        const all = await this.topics();
        return topics.filter((topic) => all.has(topic));
      },
      () => cluster.disconnect(),
    );
    this.members.add(member);
    void member.left.then(() => this.members.delete(member));
    return member;
  }

  read(place: Seam.Place, offset: number, waitMs: number): Promise<Seam.ReadResult> {
    return this.told(`${place.topic} could not be read`, async () => {
      const reader = await this.lookingAt(place.topic);
      const leader = reader.leaderOf(place);
      if (leader === undefined) throw unknownTopic(place.topic);
      const bounds = { waitMs, maxBytes: MAX_READ_BYTES };
      const [found] = await reader.fetch(leader, [{ place, offset }], bounds);
      return found?.result ?? { records: [], nextOffset: offset };
    });
  }

  topics(): Promise<ReadonlyMap<string, number>> {
    return this.told('the topics could not be listed', async () => {
      const { topics } = await (await this.connectedAdmin()).fetchTopicMetadata();
      return new Map(topics.map(({ name, partitions }) => [name, partitions.length]));
    });
  }

  createTopic(topic: string, { partitions, replicas, settings }: Seam.TopicSpec): Promise<boolean> {
    return this.told(`topic ${topic} could not be made`, async () => {
      const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
      const spec = { topic, numPartitions: partitions, replicationFactor: replicas, configEntries };
      return (await this.connectedAdmin()).createTopics({ topics: [spec], waitForLeaders: true });
    });
  }

  deleteTopic(topic: string): Promise<void> {
    return this.told(`topic ${topic} could not be deleted`, async () => {
      await (await this.connectedAdmin()).deleteTopics({ topics: [topic] });
      await this.producers.forget(topic);
    });
  }

  offsets(topics: readonly string[], at: Seam.StartOffset): Promise<ReadonlyMap<string, readonly number[]>> {
    return this.told('offsets could not be read', async () => {
      const reader = await this.connectedReader();
      await reader.lookAt([]);
      const there = topics.filter((topic) => reader.partitionsOf(topic) > 0);
      return reader.offsetsOf(there, at);
    });
  }

  groups(): Promise<Seam.GroupDescription[]> {
    return this.told('the groups could not be listed', async () => {
      const admin = await this.connectedAdmin();
      const { groups } = await admin.listGroups();
      if (groups.length === 0) return [];
      const described = await admin.describeGroups(groups.map(({ groupId }) => groupId));
      return described.groups.map(({ groupId, members }) => ({
        group: groupId,
        members: members.map(({ memberId, clientId, memberAssignment }) => ({
          id: memberId,
          client: clientId,
          places: decodePlaces(memberAssignment),
        })),
      }));
    });
  }

  committed(group: string): Promise<Seam.Committed[]> {
    return this.told(`places of group ${group} could not be read`, async () => {
      const found = await (await this.connectedAdmin()).fetchOffsets({ groupId: group });
      return found.flatMap(({ topic, partitions }) =>
        partitions
          .map(({ partition, offset, metadata }) => ({
            topic,
            partition,
            offset: Number(offset),
            note: metadata ?? '',
          }))
          .filter(({ offset }) => offset >= 0),
      );
    });
  }

  setCommitted(group: string, offsets: readonly Seam.Committed[]): Promise<void> {
    return this.told(`places of group ${group} could not be set`, async () => {
      const { cluster } = await this.connectedReader();
      await cluster.refreshMetadataIfNecessary();
      const coordinator = await cluster.findGroupCoordinator({ groupId: group });
      const topics = byTopic(offsets, ({ partition, offset, note }) => ({
        partition,
        offset: String(offset),
        metadata: note,
      }));
      // As somebody who is no member: Kafka takes it from a group without any.
      const request = { groupId: group, groupGenerationId: -1, memberId: '', topics };
      await coordinator.offsetCommit(request).catch((error: unknown) => {
        if (kafkaErrorType(error) !== 'UNKNOWN_MEMBER_ID') throw error;
        throw new MessagingError('IN_USE', `group ${group} has members`, { cause: error });
      });
    });
  }

  deleteGroup(group: string): Promise<void> {
    return this.told(`group ${group} could not be deleted`, async () => {
      await (await this.connectedAdmin()).deleteGroups([group]);
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.members].map((member) => member.leave()));
    await this.producers.close();
    const admin = await this.admin?.catch(() => undefined);
    await admin?.disconnect();
    const reader = await this.reader?.catch(() => undefined);
    await reader?.cluster.disconnect();
  }

  private async told<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw messagingError(error, what);
    }
  }

  private connectedAdmin(): Promise<Admin> {
    this.admin ??= (async () => {
      const admin = this.kafka.admin();
      await admin.connect();
      return admin;
    })().catch((error: unknown) => {
      this.admin = undefined;
      throw error;
    });
    return this.admin;
  }

  private async lookingAt(topic: string): Promise<LogReader> {
    const reader = await this.connectedReader();
    // At all there are: calls side by side would take each other's away, and one that is gone fails it for all.
    await reader.lookAt([]);
    if (reader.partitionsOf(topic) === 0) throw unknownTopic(topic);
    return reader;
  }

  private connectedReader(): Promise<LogReader> {
    this.reader ??= (async () => {
      const cluster = this.newCluster(this.options.clientId);
      await cluster.connect();
      return new LogReader(cluster);
    })().catch((error: unknown) => {
      this.reader = undefined;
      throw error;
    });
    return this.reader;
  }

  private newCluster(clientId: string): Cluster {
    const { brokers, ssl, sasl, socketFactory, requestTimeoutMs: requestTimeout } = this.options;
    return new Cluster({
      logger: this.kafka.logger(),
      retry: RETRIES,
      socketFactory: socketFactory ?? createSocketFactory(),
      brokers,
      ssl,
      sasl,
      clientId,
      connectionTimeout: Math.min(requestTimeout, 3_000),
      requestTimeout,
      enforceRequestTimeout: true,
      metadataMaxAge: METADATA_MAX_AGE_MS,
      allowAutoTopicCreation: false,
      maxInFlightRequests: null,
      authenticationTimeout: 10_000,
      reauthenticationThreshold: 10_000,
      isolationLevel: 1,
    });
  }
}

const MAX_READ_BYTES = 4 * 1024 * 1024;

const unknownTopic = (topic: string): MessagingError =>
  new MessagingError('UNKNOWN_TOPIC', `there is no topic ${topic}`);
