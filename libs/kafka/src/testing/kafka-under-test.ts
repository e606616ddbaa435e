import { type ClientOptions, connectKafka } from '../client/connect-kafka.js';
import type { KafkaClient, LogRecord, NewRecord, Place } from '../client/kafka-client.js';

/** Of the node that `npm test -- kafka` has started, or of those that the caller has. */
export function brokersUnderTest(): string[] {
  const brokers = process.env['KAFKA_BROKERS'];
  if (!brokers) throw new Error('KAFKA_BROKERS is not set: run these by `npm test -- kafka`');
  return brokers.split(',');
}

export const quietLog = { info: () => undefined, warn: () => undefined };

export const connectUnderTest = (more: Partial<ClientOptions> = {}): KafkaClient =>
  connectKafka({
    brokers: brokersUnderTest(),
    clientId: 'spec',
    log: quietLog,
    compression: 'none',
    producersPerTopic: 2,
    requestTimeoutMs: 5_000,
    ...more,
  });

let names = 0;
/** A name that no other spec has. */
export const newName = (what: string): string => `${what}-${process.pid}-${Date.now()}-${++names}`;

export async function newTopic(client: KafkaClient, partitions = 1): Promise<string> {
  const topic = newName('topic');
  await client.createTopic(topic, { partitions, replicas: -1, settings: {} });
  return topic;
}

export const record = (place: Place, text: string, headers: Record<string, string> = {}): NewRecord => ({
  ...place,
  key: null,
  value: Buffer.from(text),
  headers,
});

export const textOf = ({ value }: { value: Buffer | null }): string => value?.toString() ?? '';

/** All that stands in a partition. */
export async function readAll(client: KafkaClient, place: Place): Promise<LogRecord[]> {
  const end = (await client.offsets([place.topic], 'latest')).get(place.topic)?.[place.partition] ?? 0;
  const records: LogRecord[] = [];
  for (let offset = 0; offset < end;) {
    const result = await client.read(place, offset, 1_000);
    records.push(...result.records);
    offset = result.nextOffset;
  }
  return records;
}
