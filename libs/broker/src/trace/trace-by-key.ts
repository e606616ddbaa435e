import type { MessageTrace } from '#libs/messaging/port';
import { readMessage } from '../topics/read-message.js';
import { recordAt } from '../topics/record.js';
import type { Partition, Topics } from '../topics/topics.js';
import { type TraceHost, TracedRecords, stepsOf, windowsBack } from './trace-by-id.js';

/** The newest messages of a partition that are looked at. */
const MAX_LOOKED_AT = 10_000;
/** Messages that are told of, the newest. */
const MAX_TOLD = 100;

type Found = Omit<MessageTrace, 'events'>;

/**
 * Traces the messages of a key. Keys are not recorded, which costs the hot path nothing; a key says which partition its
 * messages are in, so they are looked for there when somebody asks, from the newest backwards.
 */
export async function traceByKey(
  host: TraceHost,
  topics: Topics,
  key: string,
  topic?: string,
): Promise<MessageTrace[]> {
  const asked =
    topic === undefined ? [...topics.all()].filter((each) => !each.isInternal) : [topics.require(topic)];
  const records = new TracedRecords(host);
  const found: Found[] = [];
  for (const each of asked) found.push(...(await lookIn(each.partitionFor(key), key, records)));
  const told = found.sort((a, b) => a.storedAtMs - b.storedAtMs).slice(-MAX_TOLD);
  const steps = await stepsOf(host, new Set(told.map(({ messageId }) => messageId)), records);
  return told.map((each) => ({ ...each, events: steps.get(each.messageId) ?? [] }));
}

async function lookIn(partition: Partition, key: string, records: TracedRecords): Promise<Found[]> {
  const found: Found[] = [];
  const first = Math.max(partition.start, partition.visibleEnd - MAX_LOOKED_AT);
  for await (const { from, to } of windowsBack(first, partition.visibleEnd)) {
    const inWindow: Found[] = [];
    for (let offset = from; offset < to; offset++) {
      const position = partition.index.get(offset);
      const block = position < 0 ? undefined : await records.blockAt(position);
      if (!block || recordAt.key(block, position) !== key) continue;
      const { id, topic, storedAtMs } = readMessage(block, position, partition.topic.name);
      inWindow.push({ messageId: id, topic, partition: partition.number, offset, storedAtMs });
    }
    found.unshift(...inWindow);
    if (found.length >= MAX_TOLD) break;
  }
  return found;
}
