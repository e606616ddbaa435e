import type { Place, NewRecord } from './kafka-client.js';
import { type ClientLog, CompressionTypes, type Kafka, Partitioners } from './kafkajs.js';
import { type RawProducer, Sender } from './sender.js';

export type ProducerOptions = {
  log: ClientLog;
  compression: 'none' | 'gzip';
  /** How many requests a topic may have under way, each from a producer of its own. */
  producersPerTopic: number;
  /** After which an answer counts as lost, and what was asked is asked again. */
  requestTimeoutMs: number;
};

/** Of one send; with the times between them about five request time-outs. */
const SEND_RETRIES = { initialRetryTime: 100, maxRetryTime: 2_000, retries: 4 };
const ALL_REPLICAS = -1;

/** The idempotent producers of one client: some for each topic, and a partition always has the same one. */
export class Producers {
  private readonly senders = new Map<string, Sender>();

  constructor(
    private readonly kafka: InstanceType<typeof Kafka>,
    private readonly options: ProducerOptions,
  ) {}

  async append(records: readonly NewRecord[]): Promise<number[]> {
    const bySender = new Map<Sender, number[]>();
    records.forEach((record, index) => {
      const sender = this.senderOf(record);
      const indexes = bySender.get(sender) ?? [];
      bySender.set(sender, indexes);
      indexes.push(index);
    });
    const offsets: number[] = [];
    // All are waited for, so that an answer says that nothing of the call is under way any more.
    const results = await Promise.allSettled(
      [...bySender].map(async ([sender, indexes]) => {
        const answer = await sender.append(indexes.map((index) => records[index]!));
        indexes.forEach((index, n) => (offsets[index] = answer[n]!));
      }),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return offsets;
  }

  /** A topic is gone: its producers ask for it by name for as long as they live, and fail. */
  async forget(topic: string): Promise<void> {
    for (const [key, sender] of this.senders) {
      if (!key.startsWith(`${topic}/`)) continue;
      this.senders.delete(key);
      await sender.close();
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.senders.values()].map((sender) => sender.close()));
  }

  /** A topic has its own: one that is deleted fails all sends of a producer that has ever sent to it (tulios/kafkajs #1622). */
  private senderOf({ topic, partition }: Place): Sender {
    const key = `${topic}/${partition % this.options.producersPerTopic}`;
    let sender = this.senders.get(key);
    if (sender === undefined) {
      sender = new Sender(
        () => this.newProducer(topic),
        (error) => this.options.log.warn({ topic, error: error.message }, 'a Kafka producer is replaced'),
      );
      this.senders.set(key, sender);
    }
    return sender;
  }

  private async newProducer(topic: string): Promise<RawProducer> {
    const { compression, requestTimeoutMs: timeout } = this.options;
    const producer = this.kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
      retry: SEND_RETRIES,
    });
    await producer.connect();
    return {
      send: async (records) => {
        const answer = await producer.send({
          topic,
          messages: records.map(({ partition, key, value, headers }) => ({ partition, key, value, headers })),
          acks: ALL_REPLICAS,
          timeout,
          compression: compression === 'gzip' ? CompressionTypes.GZIP : CompressionTypes.None,
        });
        return answer.map(({ partition, baseOffset }) => ({ partition, baseOffset }));
      },
      disconnect: () => producer.disconnect(),
    };
  }
}
