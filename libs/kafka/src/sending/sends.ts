import { randomUUID } from 'node:crypto';
import { MessagingError, type OutgoingMessage, type SendReceipt, checkMessages } from '#libs/messaging/port';
import type { KafkaClient, NewRecord } from '../client/kafka-client.js';
import { partitionOfKey } from '../client/partition-of-key.js';
import type { TopicCatalog } from '../topic-catalog.js';
import { kafkaTopicOf } from '../topic-names.js';
import { unsupported } from '../unsupported.js';
import { toRecord } from './records.js';

const DEFAULT_PRIORITY = 4;

/** Sends messages: chooses partitions, makes missing topics, answers with receipts. */
export class Sends {
  /** Where the next message without a key goes, by topic. */
  private readonly turns = new Map<string, number>();

  constructor(
    private readonly client: KafkaClient,
    private readonly catalog: TopicCatalog,
    private readonly now: () => number = Date.now,
  ) {}

  /** See `BrokerPort.send`. All are checked before one is sent. */
  async send(messages: readonly OutgoingMessage[]): Promise<SendReceipt[]> {
    if (messages.length === 0) return [];
    checkMessages(messages, this.now());
    for (const message of messages) refuseWhatIsNotThere(message, this.now());
    const withIds = messages.map((message) => ({ ...message, id: message.id ?? randomUUID() }));
    const offsets = await this.append(withIds);
    return withIds.map(({ id, topic }, index) => ({
      status: 'SEND_OK',
      messageId: id,
      topic,
      ...offsets[index]!,
      duplicate: false,
    }));
  }

  private async append(
    messages: readonly (OutgoingMessage & { id: string })[],
  ): Promise<{ partition: number; offset: number }[]> {
    for (let isSecond = false; ; isSecond = true) {
      const records = await this.recordsOf(messages);
      try {
        const offsets = await this.client.append(records);
        return records.map(({ partition }, index) => ({ partition, offset: offsets[index]! }));
      } catch (error) {
        this.catalog.forget();
        const isGone = error instanceof MessagingError && error.code === 'UNKNOWN_TOPIC';
        // Deleted meanwhile: made anew, as at a first send. What went to several places may be stored in some of them.
        if (!isGone || isSecond || new Set(records.map(placeOf)).size > 1) throw error;
      }
    }
  }

  private async recordsOf(messages: readonly (OutgoingMessage & { id: string })[]): Promise<NewRecord[]> {
    const nowMs = this.now();
    const records: NewRecord[] = [];
    for (const message of messages) {
      const topic = kafkaTopicOf(message.topic);
      const partitions = await this.catalog.partitionsOf(topic);
      const partition =
        message.key === undefined
          ? this.nextTurn(topic, partitions)
          : partitionOfKey(message.key, partitions);
      records.push(toRecord(message, { topic, partition }, nowMs));
    }
    return records;
  }

  private nextTurn(topic: string, partitions: number): number {
    const turn = ((this.turns.get(topic) ?? -1) + 1) % partitions;
    this.turns.set(topic, turn);
    return turn;
  }
}

const placeOf = ({ topic, partition }: NewRecord): string => `${topic}/${partition}`;

/** @throws {MessagingError} `UNSUPPORTED` */
function refuseWhatIsNotThere({ deliverAtMs, timerId, priority }: OutgoingMessage, nowMs: number): void {
  if (deliverAtMs !== undefined && deliverAtMs > nowMs) throw unsupported('delay', 'deliverAtMs');
  if (timerId !== undefined) throw unsupported('delay', 'timerId');
  if (priority !== undefined && priority !== DEFAULT_PRIORITY) throw unsupported('priority', `${priority}`);
}
