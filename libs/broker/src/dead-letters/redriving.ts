import { type DeadLetter, deadLetterTopic } from '#libs/messaging';
import type { Engine } from '../engine/engine.js';
import { EntryType } from '../journal/format.js';
import { type DecodedRecord, encodePast, maxRecordBytes, readRecord, writeRecord } from '../topics/record.js';

async function readLetter(engine: Engine, group: string, offset: number): Promise<DecodedRecord> {
  const topic = engine.state.topics.require(deadLetterTopic(group));
  const position = topic.partitions[0]!.index.get(offset);
  return readRecord(await engine.load(position), position, topic.name);
}

/** A group's live dead letters behind an offset of its dead-letter topic, oldest first. */
export async function listDeadLetters(
  engine: Engine,
  group: string,
  afterOffset: number,
  limit: number,
): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for (const offset of engine.state.deadLetters.offsets(group, afterOffset, limit)) {
    const { message, past } = await readLetter(engine, group, offset);
    if (!past?.deadLetter) continue;
    const { reason, error, atMs } = past.deadLetter;
    letters.push({
      id: message.id,
      group,
      reason,
      error,
      attempts: past.history,
      deadAtMs: atMs,
      message: { ...message, ...past.origin },
    });
  }
  return letters;
}

/** Gives a dead letter back to its group, as a first attempt with its history; in one entry it leaves the one place and enters the other. */
export async function redrive(engine: Engine, group: string, id: string): Promise<boolean> {
  const { deadLetters } = engine.state;
  const offset = deadLetters.offsetOf(group, id);
  if (offset === undefined) return false;
  const { message, past } = await readLetter(engine, group, offset);
  // Again, because somebody may have redriven or discarded it while it was read.
  if (!past || deadLetters.offsetOf(group, id) !== offset) return false;
  const topic = engine.internalTopic('retry', group);
  const partition = topic.partitions[0]!;
  const now = engine.now();
  const encodedPast = encodePast({ origin: past.origin, attempt: 0, history: past.history });
  engine.commit(
    EntryType.REDRIVEN,
    { group, id },
    maxRecordBytes(message) + encodedPast.byteLength,
    (out) => {
      const place = { topicId: topic.id, partition: partition.number, offset: partition.end };
      writeRecord(out, { ...message, ...place, storedAtMs: now, deliverAtMs: 0, ttlMs: 0 }, encodedPast);
    },
  );
  engine.trace.add(id, 'redriven', now, group);
  await engine.journal.flush(true);
  return true;
}

/** Drops a dead letter for good; its bytes go when their segment goes. */
export async function discard(engine: Engine, group: string, id: string): Promise<boolean> {
  if (engine.state.deadLetters.offsetOf(group, id) === undefined) return false;
  engine.commit(EntryType.DISCARDED, { group, id });
  engine.trace.add(id, 'discarded', engine.now(), group);
  await engine.journal.flush(true);
  return true;
}
