import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type {
  AuditEntry,
  DeadLetter,
  GroupInfo,
  RedriveReport,
  StoredMessage,
  TopicInfo,
} from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import { BrokerSandbox, EngineClient, ManualClock, message, until } from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

let clock: ManualClock;
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;
/** What the broker stores on. */
let used: MemoryFiles;

beforeEach(async () => {
  clock = new ManualClock();
  sandbox = await BrokerSandbox.make({ clock });
  await open(new MemoryFiles());
});
afterEach(() => sandbox.cleanUp());

async function open(on: MemoryFiles): Promise<void> {
  used = on;
  broker = await sandbox.reopen({ files: on });
  client = new EngineClient(broker, 'operator');
}

const letters = async (): Promise<string[]> =>
  (await client.admin<DeadLetter[]>('deadLetters', 'g')).map(({ id }) => id);
/** What was given back; the topic is made by the first one. */
async function retried(): Promise<string[]> {
  const isThere = (await client.admin<TopicInfo[]>('topics')).some(({ topic }) => topic === '%RETRY%g');
  if (!isThere) return [];
  return (await client.admin<StoredMessage[]>('read', '%RETRY%g', 0, 0, 100)).map(({ id }) => id);
}

/** Dead letters `m0`, `m1` … in this order, and nobody who takes what is given back. */
async function bury(count: number, more: { tag?: string; reason?: 'rejected' | 'ttl-expired' } = {}) {
  const { tag = 'a', reason = 'rejected' } = more;
  const group = await client.attach();
  const from = (await letters()).length;
  for (let n = from; n < from + count; n++) {
    await client.session.append([message(`${n}`, { id: `m${n}`, tag })]);
    const { deliveryId } = await client.take();
    await client.session.settle([{ deliveryId, verdict: 'dead-letter', reason, error: 'no' }]);
  }
  await client.session.detach(group);
}

describe('redriving all dead letters of a group', () => {
  it('only tells what it would give back, when asked for that', async () => {
    await bury(3);
    const report = await client.admin<RedriveReport>('redriveAll', 'g', {}, { dryRun: true });
    expect(report).toMatchObject({ matched: 3, redriven: 0, remaining: 3 });
    expect(await letters()).toEqual(['m0', 'm1', 'm2']);
    expect(await client.admin<AuditEntry[]>('audit')).toEqual([]);
  });

  it('passes over one that cannot be read, and says so', async () => {
    const problems: string[] = [];
    const onProblem = ({ message: text }: { message: string }): void => void problems.push(text);
    const small = { segmentBytes: 64 * 1024, tailCacheBytes: 1, readCacheBytes: 1, onProblem };
    broker = await sandbox.reopen({ files: used, ...small });
    client = new EngineClient(broker, 'operator');
    await bury(1);
    for (let n = 0; n < 8; n++)
      await client.session.append([message('x'.repeat(900_000), { topic: 'other' })]);
    await bury(2);
    broker = await sandbox.reopen({ files: used, ...small });
    client = new EngineClient(broker, 'operator');
    used.failsToRead = (path) => path.endsWith('/00000000000000000000.log');
    const report = await client.admin<RedriveReport>('redriveAll', 'g', {}, { ratePerSecond: 10_000 });
    expect(report).toMatchObject({ matched: 3, redriven: 2, remaining: 1 });
    expect(await retried()).toEqual(['m1', 'm2']);
    expect(problems).toEqual([expect.stringContaining('dead letter m0 of g could not be given back')]);
  });

  it('gives them back oldest first, with their history, and is one act in the audit', async () => {
    await bury(5);
    expect(await client.admin('redriveAll', 'g')).toEqual({
      matched: 5,
      redriven: 5,
      remaining: 0,
      upToOffset: 4,
    });
    expect(await letters()).toEqual([]);
    expect(await retried()).toEqual(['m0', 'm1', 'm2', 'm3', 'm4']);
    await client.attach();
    expect(await client.take()).toMatchObject({
      attempt: 1,
      history: [{ error: 'no' }],
      message: { id: 'm0' },
    });
    expect(await client.admin('audit')).toMatchObject([
      { action: 'redrive-all', by: 'operator', group: 'g', subject: '{}', count: 5 },
    ]);
  });

  it('takes what matches and leaves the rest', async () => {
    await bury(2);
    await bury(2, { tag: 'b' });
    clock.advance(1_000);
    await bury(1, { tag: 'b', reason: 'ttl-expired' });
    const laterMs = clock.now();
    expect(await client.admin('redriveAll', 'g', { topic: 'other' })).toMatchObject({ matched: 0 });
    const old = { tag: 'b', deadBeforeMs: laterMs };
    expect(await client.admin('redriveAll', 'g', old)).toMatchObject({
      matched: 2,
      redriven: 2,
      remaining: 0,
    });
    expect(await letters()).toEqual(['m0', 'm1', 'm4']);
    expect(await client.admin('redriveAll', 'g', { reason: 'ttl-expired' })).toMatchObject({ redriven: 1 });
    expect(await client.admin('redriveAll', 'g', { upToOffset: 0 })).toMatchObject({
      redriven: 1,
      upToOffset: 0,
    });
    expect(await letters()).toEqual(['m1']);
    await expect(client.admin('redriveAll', 'g', { reason: 'bad luck' })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await expect(client.admin('redriveAll', 'g', {}, { ratePerSecond: 0 })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('keeps the pace and its bounds, and goes on where it was', async () => {
    await bury(40);
    const startedAt = performance.now();
    const first = await client.admin<RedriveReport>('redriveAll', 'g', {}, { ratePerSecond: 10 });
    const tookMs = performance.now() - startedAt;
    // It ends after two seconds; what time a slow machine takes from these is not made up for.
    expect(tookMs).toBeGreaterThan(1_800);
    expect(first.redriven).toBeGreaterThan(1);
    expect(first.redriven).toBeLessThanOrEqual(21);
    expect(first.remaining).toBe(40 - first.redriven);
    const limited = await client.admin<RedriveReport>(
      'redriveAll',
      'g',
      {},
      { ratePerSecond: 1_000, limit: 3 },
    );
    expect(limited).toMatchObject({ matched: first.remaining, redriven: 3 });
    await client.admin('redriveAll', 'g', {}, { ratePerSecond: 10_000 });
    expect(await retried()).toEqual(Array.from({ length: 40 }, (_, n) => `m${n}`));
  });

  it('gives none back twice when two ask at the same time', async () => {
    await bury(30);
    const reports = await Promise.all(
      [1, 2, 3].map(() => client.admin<RedriveReport>('redriveAll', 'g', {}, { ratePerSecond: 1_000 })),
    );
    expect(reports.reduce((sum, { redriven }) => sum + redriven, 0)).toBe(30);
    expect(await retried()).toEqual(Array.from({ length: 30 }, (_, n) => `m${n}`));
  });

  it('leaves alone what dies again meanwhile, for whoever passes the answer on', async () => {
    await bury(2);
    const { upToOffset } = await client.admin<RedriveReport>('redriveAll', 'g', {}, { limit: 1 });
    await client.attach();
    const { deliveryId } = await client.take();
    await client.session.settle([{ deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'again' }]);
    expect(await letters()).toEqual(['m1', 'm0']);
    expect(await client.admin('redriveAll', 'g', { upToOffset })).toMatchObject({
      redriven: 1,
      remaining: 0,
    });
    expect(await letters()).toEqual(['m0']);
  });

  it('ends with the process, nothing half done: each letter is in one place, and asking again goes on', async () => {
    await bury(20);
    const asked = client.admin('redriveAll', 'g', {}, { ratePerSecond: 100 });
    await until(async () => (await letters()).length < 15);
    const killed = used.kill();
    await asked.catch(() => undefined);
    await open(killed);
    const [dead, alive] = [await letters(), await retried()];
    expect(dead.length).toBeLessThan(20);
    expect([...alive, ...dead]).toEqual(Array.from({ length: 20 }, (_, n) => `m${n}`));
    expect(await client.admin<AuditEntry[]>('audit')).toMatchObject([
      { action: 'redrive-all', count: alive.length },
    ]);
    expect(await client.admin('redriveAll', 'g')).toMatchObject({ redriven: dead.length, remaining: 0 });
    expect(await retried()).toEqual(Array.from({ length: 20 }, (_, n) => `m${n}`));
  });
});

describe('a crash at any byte', () => {
  it('leaves each letter in one place, and an audit that counts those that were given back', async () => {
    await bury(4);
    const path = used.paths().find((each) => each.endsWith('.log'))!;
    const from = used.content(path).byteLength;
    await client.admin('redriveAll', 'g', { tag: 'a' }, { ratePerSecond: 10_000 });
    await client.admin('discard', 'g', 'unknown');
    const whole = Buffer.from(used.content(path));
    const counts = new Set<number>();
    for (let cut = from; cut < whole.byteLength + 5; cut += 5) {
      const length = Math.min(cut, whole.byteLength);
      const torn = new MemoryFiles();
      torn.put(path, whole.subarray(0, length));
      await open(torn);
      const [dead, alive] = [await letters(), await retried()];
      expect([...alive, ...dead]).toEqual(['m0', 'm1', 'm2', 'm3']);
      const acts = await client.admin<AuditEntry[]>('audit');
      expect(acts.map(({ count }) => count)).toEqual(alive.length > 0 ? [alive.length] : []);
      counts.add(alive.length);
    }
    expect([...counts]).toEqual([0, 1, 2, 3, 4]);
  });

  it('drops dead letters whole or not at all', async () => {
    broker = await sandbox.reopen({ files: used, deadLetters: { maxPerGroup: 1 } });
    client = new EngineClient(broker, 'operator');
    await bury(4);
    const path = used.paths().find((each) => each.endsWith('.log'))!;
    const from = used.content(path).byteLength;
    clock.advance(1_000);
    broker.tick();
    await until(() => used.content(path).byteLength > from);
    const whole = Buffer.from(used.content(path));
    for (let length = from; length <= whole.byteLength; length++) {
      const torn = new MemoryFiles();
      torn.put(path, whole.subarray(0, length));
      await open(torn);
      const [group] = await client.admin<GroupInfo[]>('groups');
      const dropped = length === whole.byteLength ? 3 : 0;
      expect(group).toMatchObject({ deadLetters: 4 - dropped, deadLettersDropped: dropped });
      expect(await client.admin<AuditEntry[]>('audit')).toHaveLength(dropped > 0 ? 1 : 0);
    }
  });
});

describe('retention of dead letters', () => {
  const info = async (): Promise<GroupInfo> => (await client.admin<GroupInfo[]>('groups'))[0]!;

  async function openWith(deadLetters: object): Promise<{ message: string }[]> {
    const problems: { message: string }[] = [];
    broker = await sandbox.reopen({
      files: used,
      deadLetters,
      onProblem: (problem) => problems.push(problem),
    });
    client = new EngineClient(broker, 'operator');
    return problems;
  }
  const pass = (ms: number): void => {
    clock.advance(ms);
    broker.tick();
  };

  it('drops what is too old, and tells of it: counted, audited, said once', async () => {
    const problems = await openWith({ maxAgeMs: 60_000 });
    await bury(2);
    pass(30_000);
    await bury(1);
    pass(30_001);
    expect(await letters()).toEqual(['m2']);
    expect(await info()).toMatchObject({ deadLetters: 1, deadLettersDropped: 2 });
    expect(await client.admin('redrive', 'g', 'm0')).toBe(false);
    pass(30_000);
    expect(await letters()).toEqual([]);
    expect(await client.admin('audit')).toMatchObject([
      { action: 'dead-letters-dropped', by: 'broker', group: 'g', count: 3 },
    ]);
    expect(problems).toMatchObject([{ message: expect.stringContaining('dead letters of g') }]);
  });

  it('drops the oldest when a group has too many', async () => {
    await openWith({ maxPerGroup: 3 });
    await bury(3);
    pass(1_000);
    expect(await info()).toMatchObject({ deadLetters: 3, deadLettersDropped: 0 });
    await bury(2);
    pass(1_000);
    expect(await letters()).toEqual(['m2', 'm3', 'm4']);
  });

  it('remembers what was dropped after a crash, and drops nothing again', async () => {
    await openWith({ maxPerGroup: 3 });
    await bury(5);
    pass(1_000);
    await client.admin('redrive', 'g', 'm4');
    await open(used.kill());
    expect(await letters()).toEqual(['m2', 'm3']);
    expect(await info()).toMatchObject({ deadLetters: 2, deadLettersDropped: 2 });
    expect(await client.admin('audit')).toMatchObject([
      { action: 'dead-letters-dropped', count: 2 },
      { action: 'redrive', subject: 'm4', count: 1 },
    ]);
  });
});
