import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BrokerSandbox, EngineClient, message, stored } from '../testing/engine-client.js';
import { MemoryFiles, type Survival } from '../testing/memory-files.js';

let sandbox: BrokerSandbox;

beforeEach(async () => {
  sandbox = await BrokerSandbox.make({ traceSteps: 0, tailCacheBytes: 1024 * 1024, segmentBytes: 64 * 1024 });
});
afterEach(() => sandbox.cleanUp());

/** Deterministic pseudo-random numbers from 0 to 1 (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Sends pairs of messages, commits and rolls back, over several segments; stops at the first failure. What was acknowledged, and what was sent at all. */
async function work(
  files: MemoryFiles,
): Promise<{ acknowledged: string[]; sent: Set<string>; rolledBack: string[] }> {
  const acknowledged: string[] = [];
  const rolledBack: string[] = [];
  const sent = new Set<string>();
  try {
    const broker = await sandbox.open({ files });
    const { session } = new EngineClient(broker);
    for (let round = 0; round < 8; round++) {
      const pair = [`a${round}`, `b${round}`].map((id) => message('x'.repeat(6_000), { id, key: id }));
      for (const { id } of pair) sent.add(id!);
      await session.append(pair);
      acknowledged.push(...pair.map(({ id }) => id!));
      const half = message('half', { id: `h${round}` });
      sent.add(half.id!);
      const transaction = await session.prepare('p', [half]);
      await session.decide(transaction, round % 2 === 0 ? 'commit' : 'rollback');
      (round % 2 === 0 ? acknowledged : rolledBack).push(half.id!);
    }
    await broker.close();
  } catch (error) {
    expect(String(error)).toMatch(/injected|STORAGE_FAILED|CLOSED/);
  }
  return { acknowledged, sent, rolledBack };
}

async function check(files: MemoryFiles, done: Awaited<ReturnType<typeof work>>): Promise<void> {
  const broker = await sandbox.reopen({ files });
  const ids = [...(await stored(broker)).values()].flat();
  expect(ids).toEqual(expect.arrayContaining(done.acknowledged));
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(done.sent).toContain(id);
  for (const id of done.rolledBack) expect(ids).not.toContain(id);
  // Both of a pair, or neither: they were one append.
  for (const id of ids) if (id.startsWith('a')) expect(ids).toContain(`b${id.slice(1)}`);
  const { session } = new EngineClient(broker);
  await session.append([message('after', { id: 'after' })]);
  await broker.close();
}

describe('storage faults', () => {
  it.each(['EIO', 'ENOSPC'] as const)(
    '%s at any call: nothing acknowledged is lost, nothing is invented, and nothing is taken after it',
    async (code) => {
      const healthy = new MemoryFiles();
      await work(healthy);
      expect(healthy.paths().length).toBeGreaterThan(1);
      for (let call = 1; call <= healthy.calls; call++) {
        const files = new MemoryFiles();
        files.failAt(call, code, code === 'ENOSPC');
        const done = await work(files);
        await check(files.crash(), done);
      }
    },
    60_000,
  );

  it('a power cut that keeps any part of the unsynced writes loses nothing that was acknowledged', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = randomFrom(seed);
      const files = new MemoryFiles();
      // The cut comes at a random call: from then on nothing works.
      files.failAt(2 + Math.floor(random() * 60), 'EIO', true);
      const done = await work(files);
      const survival: Survival = ({ bytes }) => (random() < 0.4 ? bytes : Math.floor(random() * bytes));
      const scattered: Survival = (write) => (random() < 0.5 ? 0 : survival(write));
      try {
        await check(files.crash(scattered), done);
      } catch (error) {
        throw new Error(`with seed ${seed}`, { cause: error });
      }
    }
  }, 240_000);
});
