/** Properties of whoever reads a journal, for any bytes it may be given. */
import { expect } from '@jest/globals';
import fc from 'fast-check';
import type { StoredMessage, TopicInfo } from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import { describeEntry } from '../inspect/describe-entry.js';
import { readSegmentFile } from '../inspect/read-segment-file.js';
import { verifyJournal } from '../inspect/verify-journal.js';
import { BrokerSandbox, EngineClient, ManualClock, message } from './engine-client.js';
import { MemoryFiles } from './memory-files.js';

/** For everything that is done with one journal; beyond it, something hangs. */
const LIMIT_MS = 10_000;

/** Stands still: what is delayed stays so. */
const clock = new ManualClock();

export type SampleJournal = { path: string; bytes: Buffer; written: ReadonlySet<string> };

export async function fuzzSandbox(): Promise<BrokerSandbox> {
  return BrokerSandbox.make({ clock, traceSteps: 0, tailCacheBytes: 1024 * 1024 });
}

/** Whatever bytes it is given: it neither fails, hangs, nor finds a message. */
export const inventsNothing = (sandbox: BrokerSandbox, path: string): fc.IAsyncProperty<[Uint8Array]> =>
  fc.asyncProperty(fc.uint8Array({ maxLength: 4_096 }), (bytes) =>
    inTime(survives(sandbox, path, Buffer.from(bytes), new Set())),
  );

/** However the journal is mutilated: only what was written is found, in its place. */
export const findsOnlyWhatWasWritten = (
  sandbox: BrokerSandbox,
  { path, bytes, written }: SampleJournal,
): fc.IAsyncProperty<[Mutation[]]> =>
  fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 5 }), (mutations) =>
    inTime(survives(sandbox, path, mutations.reduce(mutate, bytes), written)),
  );

/** Every message that can be read, as `topic/partition id body`. */
export async function everything(broker: EmbeddedBroker): Promise<string[]> {
  const { session } = new EngineClient(broker);
  const found: string[] = [];
  for (const { topic, partitions } of (await session.admin({ method: 'topics', args: [] })) as TopicInfo[]) {
    for (const { partition, startOffset } of partitions) {
      const args = [topic, partition, startOffset, 10_000];
      for (const { id, offset, body } of (await session.admin({ method: 'read', args })) as StoredMessage[])
        found.push(`${topic}/${partition}:${offset} ${id} ${Buffer.from(body).toString('latin1')}`);
    }
  }
  return found;
}

/** A journal with every kind of state in it, among it a message whose body is a copy of the journal. */
export async function sampleJournal(sandbox: BrokerSandbox): Promise<SampleJournal> {
  const files = new MemoryFiles();
  const broker = await sandbox.open({ files });
  const client = new EngineClient(broker);
  for (const id of ['m1', 'm2', 'm3'])
    await client.session.append([message(`body of ${id}`, { id, key: id })]);
  await client.attach();
  await client.ack(await client.take());
  await client.retry(await client.take(), 0);
  const { deliveryId } = await client.take();
  await client.session.settle([{ deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'no' }]);
  const id = await client.session.prepare('p', [message('half', { id: 'm4' })]);
  await client.session.append([message('later', { id: 'm5', deliverAtMs: clock.now() + 60_000 })]);
  await client.session.decide(id, 'commit');
  const path = files.paths().find((each) => each.endsWith('.log'))!;
  const body = files.content(path);
  await client.session.append([message('', { id: 'copy', body })]);
  await client.session.append([message('last', { id: 'last' })]);
  const written = new Set(await everything(broker));
  await broker.close();
  return { path, bytes: files.kill().content(path), written };
}

const mutation = fc.record({
  kind: fc.constantFrom('flip', 'overwrite', 'remove', 'insert', 'repeat', 'cut'),
  at: fc.nat(),
  length: fc.integer({ min: 1, max: 200 }),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }),
});
type Mutation = { kind: string; at: number; length: number; bytes: Uint8Array };

function mutate(whole: Buffer, { kind, at, length, bytes }: Mutation): Buffer {
  const place = at % Math.max(1, whole.byteLength);
  const [head, tail] = [whole.subarray(0, place), whole.subarray(place)];
  if (kind === 'cut') return Buffer.from(head);
  if (kind === 'remove') return Buffer.concat([head, tail.subarray(length)]);
  if (kind === 'insert') return Buffer.concat([head, bytes, tail]);
  if (kind === 'repeat') return Buffer.concat([head, tail.subarray(0, length), tail]);
  if (kind === 'overwrite') return Buffer.concat([head, bytes, tail.subarray(bytes.byteLength)]);
  const flipped = Buffer.from(whole);
  if (flipped.byteLength > 0) flipped[place]! ^= 1 << (length % 8);
  return flipped;
}

async function inTime<Result>(work: Promise<Result>): Promise<Result> {
  let timeout: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timeout = setTimeout(() => reject(new Error(`not done within ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timeout));
}

/** Opens the bytes as a journal. What opens holds nothing that was not written, at the place where it was written, and takes messages. */
async function survives(
  sandbox: BrokerSandbox,
  path: string,
  bytes: Buffer,
  written: ReadonlySet<string>,
): Promise<void> {
  const prepare = (): MemoryFiles => {
    const files = new MemoryFiles();
    files.put(path, Buffer.from(bytes));
    return files;
  };
  const dumped = prepare();
  await readSegmentFile(
    path,
    (entry) => describeEntry(entry, new Map()),
    () => undefined,
    dumped,
  );
  const report = await verifyJournal(sandbox.dir, dumped);
  expect(dumped.content(path)).toEqual(bytes);
  for (const onDamage of ['refuse', 'quarantine'] as const) {
    const files = prepare();
    const broker = await sandbox.open({ files, onDamage }).catch((error: unknown) => {
      expect(String(error)).toMatch(/^MessagingError: LOG_CORRUPT/);
      expect(onDamage).toBe('refuse');
    });
    expect(broker !== undefined).toBe(onDamage === 'quarantine' || report.damaged.length === 0);
    if (!broker) continue;
    for (const found of await everything(broker)) expect(written).toContain(found);
    const { session } = new EngineClient(broker);
    await session.append([message('after', { id: 'after' })]);
    const again = await sandbox.reopen({ files: files.kill(), onDamage: 'refuse' });
    const ids = (await everything(again)).map((found) => found.split(' ')[1]);
    expect(ids.filter((id) => id === 'after')).toHaveLength(1);
    await again.close();
  }
}
