import { MessagingError } from '#libs/messaging/port';
import type { KafkaClient, TopicSpec } from './client/kafka-client.js';

/** Partitions of a topic that nobody created before its first message. */
const DEFAULT_PARTITIONS = 4;
/** The largest body, its headers and key, and what Kafka adds. */
const MAX_RECORD_BYTES = 1024 * 1024 + 128 * 1024;

export type TopicDefaults = {
  /** Copies of each partition; -1: what the cluster's default is. */
  replicas: number;
};

/** How topics are laid out, remembered until somebody is told that it is not so. Makes those that are missing. */
export class TopicCatalog {
  private known: Promise<ReadonlyMap<string, number>> | undefined;
  private readonly making = new Map<string, Promise<number>>();

  constructor(
    private readonly client: KafkaClient,
    private readonly defaults: TopicDefaults,
  ) {}

  /** Topic → partitions, asked for anew. */
  async all(): Promise<ReadonlyMap<string, number>> {
    const asked = this.client.topics();
    this.known = asked;
    asked.catch(() => this.forget());
    return asked;
  }

  forget(): void {
    this.known = undefined;
  }

  /** How many partitions it has; it is made when it is not there. */
  async partitionsOf(topic: string): Promise<number> {
    const known = await (this.known ?? this.all());
    return known.get(topic) ?? this.require(topic);
  }

  /** @throws {MessagingError} `UNKNOWN_TOPIC` */
  async existing(topic: string): Promise<number> {
    const count = (await (this.known ?? this.all())).get(topic) ?? (await this.all()).get(topic);
    if (count === undefined) throw new MessagingError('UNKNOWN_TOPIC', `there is no topic ${topic}`);
    return count;
  }

  /** Makes the topic if it is not there, and answers with its partitions. */
  require(topic: string, more: Partial<TopicSpec> = {}): Promise<number> {
    let making = this.making.get(topic);
    if (making === undefined) {
      making = this.make(topic, more).finally(() => this.making.delete(topic));
      this.making.set(topic, making);
    }
    return making;
  }

  private async make(
    topic: string,
    { partitions = DEFAULT_PARTITIONS, settings }: Partial<TopicSpec>,
  ): Promise<number> {
    const before = (await this.all()).get(topic);
    if (before !== undefined) return before;
    await this.client.createTopic(topic, {
      partitions,
      replicas: this.defaults.replicas,
      settings: {
        'max.message.bytes': String(MAX_RECORD_BYTES),
        // So that a message's time is the cluster's, whatever the producer's clock says.
        'message.timestamp.type': 'LogAppendTime',
        ...settings,
      },
    });
    return (await this.all()).get(topic) ?? partitions;
  }
}
