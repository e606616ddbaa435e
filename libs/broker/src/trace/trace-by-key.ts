import type { MessageTrace } from '#libs/messaging/port';
import type { Engine } from '../engine/engine.js';
import { keyOfRecord, readMessage } from '../topics/record.js';
import type { Partition } from '../topics/topics.js';

/** The newest messages of a partition that are looked at … */
const MAX_LOOKED_AT = 10_000;
/** … and blocks of a megabyte that are read from files for one question. */
const MAX_READS = 256;
/** Messages that are told of, the newest. */
const MAX_TOLD = 100;
/** Looked at in one go, forwards, as blocks are read; then other work of the event loop has its turn. */
const WINDOW = 1_000;

/**
 * Traces the messages of a key. Steps are recorded under ids alone, which costs the hot path nothing; a key says which
 * partition its messages are in, so they are looked for there when somebody asks, from the newest backwards.
 */
export async function traceByKey(engine: Engine, key: string, topic?: string): Promise<MessageTrace[]> {
  const { topics } = engine.state;
  const asked =
    topic === undefined ? [...topics.all()].filter((each) => !each.isInternal) : [topics.require(topic)];
  const reading = { left: MAX_READS };
  const found: MessageTrace[] = [];
  for (const each of asked) found.push(...(await lookIn(engine, each.partitionFor(key), key, reading)));
  return found.sort((a, b) => a.storedAtMs - b.storedAtMs).slice(-MAX_TOLD);
}

async function lookIn(
  engine: Engine,
  partition: Partition,
  key: string,
  reading: { left: number },
): Promise<MessageTrace[]> {
  const found: MessageTrace[] = [];
  const first = Math.max(partition.start, partition.visibleEnd - MAX_LOOKED_AT);
  for (let end = partition.visibleEnd; end > first && found.length < MAX_TOLD; end -= WINDOW) {
    const inWindow: MessageTrace[] = [];
    for (let offset = Math.max(first, end - WINDOW); offset < end; offset++) {
      const position = partition.index.get(offset);
      if (position < 0) continue;
      let block = engine.journal.find(position);
      if (!block) {
        if (reading.left === 0) return [...inWindow, ...found];
        reading.left -= 1;
        block = await engine.load(position);
      }
      if (keyOfRecord(block, position) !== key) continue;
      const { id, topic, storedAtMs } = readMessage(block, position, partition.topic.name);
      const place = { topic, partition: partition.number, offset };
      inWindow.push({ messageId: id, ...place, storedAtMs, events: engine.trace.of(id) });
    }
    found.unshift(...inWindow);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return found;
}
