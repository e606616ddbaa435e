import { type DeadLetter, type DeadLetterFilter, deadLetterTopic } from '#libs/messaging/port';
import type { KafkaClient } from '../client/kafka-client.js';
import { kafkaTopicOf } from '../topic-names.js';
import { readLetter } from './letters.js';

/** Waits so long for records that are known to be there. */
const READ_WAIT_MS = 1_000;

/**
 * A group's dead letters, read from its compacted topic: what has no tombstone. Read on from where it was at each question, so that
 * a question costs what is new. Memory: all letters with their bodies, until the next question finds them gone.
 */
export class LetterLog {
  private readonly byKey = new Map<string, DeadLetter>();
  private next = 0;
  private reading: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly client: KafkaClient,
    private readonly group: string,
  ) {}

  /** All there are now, oldest first. */
  async all(): Promise<(DeadLetter & { key: string })[]> {
    const read = this.reading.then(() => this.catchUp());
    this.reading = read.catch(() => undefined);
    await read;
    return [...this.byKey].map(([key, letter]) => ({ ...letter, key })).sort((a, b) => a.offset - b.offset);
  }

  private async catchUp(): Promise<void> {
    const topic = kafkaTopicOf(deadLetterTopic(this.group));
    const end = (await this.client.offsets([topic], 'latest')).get(topic)?.[0] ?? 0;
    if (end < this.next) {
      // The group was deleted, and somebody made one of its name.
      this.next = 0;
      this.byKey.clear();
    }
    while (this.next < end) {
      const { records, nextOffset } = await this.client.read(
        { topic, partition: 0 },
        this.next,
        READ_WAIT_MS,
      );
      if (nextOffset === this.next) return;
      for (const record of records) {
        const key = record.key?.toString() ?? '';
        if (record.value === null) this.byKey.delete(key);
        else this.byKey.set(key, readLetter(this.group, record));
      }
      this.next = nextOffset;
    }
  }
}

export function matches(letter: DeadLetter, filter: DeadLetterFilter): boolean {
  return (
    (filter.reason === undefined || letter.reason === filter.reason) &&
    (filter.topic === undefined || letter.message.topic === filter.topic) &&
    (filter.tag === undefined || letter.message.tag === filter.tag) &&
    (filter.deadBeforeMs === undefined || letter.deadAtMs < filter.deadBeforeMs) &&
    (filter.upToOffset === undefined || letter.offset <= filter.upToOffset)
  );
}
