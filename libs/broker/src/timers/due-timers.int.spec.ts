import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TimerInfo } from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import type { JournalFile } from '../journal/files.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  stored,
  textOf,
  until,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';
import { HORIZON_MS } from './far-timers.js';

/** A disk that can be stopped, and of which a part can be unreadable. */
class FaultyDisk extends MemoryFiles {
  private held: Promise<void> | undefined;
  private release: (() => void) | undefined;
  unreadable: { from: number; to: number } | undefined;

  hold(): void {
    this.held = new Promise((resolve) => (this.release = resolve));
  }

  goOn(): void {
    this.release?.();
  }

  override async open(path: string, mode: 'create' | 'read-write' | 'read'): Promise<JournalFile> {
    const file = await super.open(path, mode);
    return {
      ...file,
      writev: async (buffers, position) => {
        await this.held;
        return file.writev(buffers, position);
      },
      read: (target, position) => {
        const { unreadable } = this;
        if (unreadable && position < unreadable.to && position + target.byteLength > unreadable.from)
          return Promise.reject(new Error('EIO: injected, read'));
        return file.read(target, position);
      },
    };
  }
}

let timerHorizonMs: number;
let clock: ManualClock;
let sandbox: BrokerSandbox;

beforeEach(async () => {
  clock = new ManualClock();
  // Nothing but the newest block stays in memory.
  sandbox = await BrokerSandbox.make({
    clock,
    timerHorizonMs,
    traceSteps: 0,
    tailCacheBytes: 1,
    readCacheBytes: 1,
  });
});
afterEach(() => sandbox.cleanUp());

const after = (ms: number) => ({ deliverAtMs: clock.now() + ms });
const pendingOf = async (broker: EmbeddedBroker): Promise<number> =>
  ((await new EngineClient(broker).session.admin({ method: 'timers', args: [] })) as TimerInfo).pending;
const allFired = (broker: EmbeddedBroker): Promise<void> =>
  until(async () => (await pendingOf(broker)) === 0, 'the end of pending timers');
const idsOf = async (broker: EmbeddedBroker): Promise<string[]> => {
  // What has just fired becomes readable with its commit.
  await settled();
  return [...(await stored(broker)).values()].flat().sort();
};

/** A journal of which the last entry is that of three fired timers; `before`: its length without that entry. */
async function firedLog(): Promise<{ path: string; whole: Buffer; before: number }> {
  const files = new MemoryFiles();
  const broker = await sandbox.open({ files });
  const { session } = new EngineClient(broker);
  await session.append(
    ['a', 'b', 'c'].map((id) => message(`body of ${id}`, { id, key: id, ...after(1_000) })),
  );
  const path = files.paths()[0]!;
  const before = files.content(path).byteLength;
  clock.advance(1_000);
  broker.tick();
  await allFired(broker);
  await broker.close();
  return { path, whole: Buffer.from(files.content(path)), before };
}

describe.each([HORIZON_MS, 20])('firing, with a horizon of %p ms,', (horizonMs) => {
  beforeAll(() => {
    timerHorizonMs = horizonMs;
  });

  it('is whole or not at all: killed at any byte of its entry, each message comes once', async () => {
    const { path, whole, before } = await firedLog();
    for (let length = before; length <= whole.byteLength; length++) {
      const torn = new MemoryFiles();
      torn.put(path, Buffer.from(whole.subarray(0, length)));
      const broker = await sandbox.open({ files: torn });
      const found = async () => [...(await stored(broker)).values()].flat().sort();
      await until(async () => (await found()).length > 0);
      expect(await found()).toEqual(['a', 'b', 'c']);
      expect(await pendingOf(broker)).toBe(0);
      await broker.close();
    }
  }, 240_000);

  it('that was written but not synced is done again after a power cut, and never twice', async () => {
    const files = new MemoryFiles();
    const broker = await sandbox.open({ files });
    const { session } = new EngineClient(broker);
    await session.append([message('x', { id: 'a', ...after(1_000) })]);
    // From now on nothing reaches the disk.
    files.failAt(files.calls + 2, 'EIO', true);
    clock.advance(1_000);
    broker.tick();
    // A broker that answers no more has failed at the sync, and so has written.
    await until(async () => (await pendingOf(broker).catch(() => 0)) === 0);
    for (const survivors of [files.crash(), files.crash(({ bytes }) => bytes >> 1), files.kill()]) {
      const reopened = await sandbox.reopen({ files: survivors });
      await allFired(reopened);
      expect(await idsOf(reopened)).toEqual(['a']);
    }
  });

  it('waits for a slow disk: of a flood at open only what is being written is in memory', async () => {
    const [count, each] = [20_000, 1_000];
    const files = new FaultyDisk();
    let broker = await sandbox.open({ files });
    let { session } = new EngineClient(broker);
    for (let sent = 0; sent < count; sent += each)
      await session.append(Array.from({ length: each }, (_, i) => message(`${sent + i}`, after(1_000 + i))));
    await broker.close();
    clock.advance(10_000);
    files.hold();
    broker = await sandbox.reopen({ files });
    await settled(100);
    expect(await pendingOf(broker)).toBeGreaterThanOrEqual(count - 2_000);
    // Closed in the midst of it: the rest comes at the next start, and nothing twice.
    const closing = broker.close();
    files.goOn();
    await closing;
    broker = await sandbox.reopen({ files });
    await allFired(broker);
    ({ session } = new EngineClient(broker));
    const client = new EngineClient(broker);
    await client.attach({ maxInFlightMessages: count });
    await until(() => client.delivered.length >= count);
    expect(new Set(client.texts).size).toBe(count);
    expect(client.delivered).toHaveLength(count);
  }, 240_000);

  it('goes on past a message that cannot be read, and comes back to it', async () => {
    const files = new FaultyDisk();
    const problems: string[] = [];
    const broker = await sandbox.open({ files, onProblem: ({ error }) => problems.push(String(error)) });
    const client = new EngineClient(broker);
    await client.attach({ leaseMs: 3_600_000 });
    for (const text of ['a', 'b', 'c'])
      await client.session.append([message(text.repeat(200_000), { id: text, ...after(1_000) })]);
    // So that the three are no longer in memory.
    for (let i = 0; i < 8; i++)
      await client.session.append([message('x'.repeat(400_000), { topic: 'other' })]);
    files.unreadable = { from: 300_000, to: 300_001 };
    clock.advance(1_000);
    broker.tick();
    const texts = () => client.texts.map((text) => text[0]);
    await until(() => client.delivered.length === 2);
    expect(texts().sort()).toEqual(['a', 'c']);
    expect(problems).toEqual([expect.stringContaining('EIO')]);
    files.unreadable = undefined;
    clock.advance(10_000);
    broker.tick();
    await until(() => client.delivered.length === 3);
    expect(texts()[2]).toBe('b');
  });

  it('and a recall at the same time: one of the two happens', async () => {
    const broker = await sandbox.open();
    const client = new EngineClient(broker);
    await client.attach({ leaseMs: 3_600_000, maxInFlightMessages: 1_000 });
    const handles = Array.from({ length: 300 }, (_, i) => `h${i}`);
    await client.session.append(handles.map((timerId) => message(timerId, { timerId, ...after(1_000) })));
    // So that both have to read the messages back.
    for (let i = 0; i < 4; i++)
      await client.session.append([message('x'.repeat(900_000), { topic: 'other' })]);
    clock.advance(1_000);
    const answers: Promise<[string, boolean]>[] = [];
    for (const [i, handle] of handles.entries()) {
      // While the records of those before are being read.
      if (i === 30) broker.tick();
      if (i % 50 === 0) await settled(1);
      answers.push(client.session.recall(handle).then((recalled) => [handle, recalled]));
    }
    const recalled = (await Promise.all(answers)).filter(([, yes]) => yes).map(([handle]) => handle);
    await allFired(broker);
    await until(() => client.delivered.length + recalled.length >= handles.length);
    expect([...client.delivered.map(textOf), ...recalled].sort()).toEqual([...handles].sort());
  });
});
