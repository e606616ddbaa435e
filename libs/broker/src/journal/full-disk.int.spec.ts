import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import type { BrokerOptions } from '../engine/options.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  stored,
  textOf,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

const KIB = 1024;
const RESERVE_BYTES = 512 * KIB;
const FULL = { code: 'STORAGE_FULL', kind: 'transient' };

let files: MemoryFiles;
let clock: ManualClock;
let problems: string[];
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  files = new MemoryFiles();
  files.capacityBytes = 4 * KIB * KIB;
  clock = new ManualClock();
  problems = [];
  sandbox = await BrokerSandbox.make({
    clock,
    segmentBytes: 256 * KIB,
    reserveBytes: RESERVE_BYTES,
    traceSteps: 0,
    onProblem: ({ message: text }) => void problems.push(text),
  });
  await open();
  await broker.createTopic('t', { partitions: 1 });
});
afterEach(() => sandbox.cleanUp());

async function open(more: Partial<BrokerOptions> = {}): Promise<void> {
  broker = await sandbox.reopen({ files, ...more });
  client = new EngineClient(broker);
}

/** Another process takes all but so much. */
async function leaveFree(bytes: number): Promise<void> {
  files.othersBytes = 0;
  files.othersBytes = Math.max(0, (await files.freeBytes()) - bytes);
}

/** The broker looks at its disk. */
async function look(): Promise<void> {
  clock.advance(1_000);
  broker.tick();
  await settled(5);
}

const segments = (): number => files.paths().filter((path) => path.endsWith('.log')).length;
const reserve = (): number => files.content(`${sandbox.dir}/reserve`).byteLength;
const send = (id: string, bytes = 1_000) =>
  client.session.append([message(id.padEnd(bytes, '.'), { id, key: id })]);
const take = async (): Promise<string> => textOf(await client.take()).replace(/\.+$/, '');

describe('a disk that is nearly full', () => {
  it('refuses what adds to the journal, and goes on with what drains it', async () => {
    await client.attach();
    const { session } = client;
    const later = clock.now() + 600_000;
    await session.append([message('timer', { deliverAtMs: later, timerId: 'handle' })]);
    const [undecided, unwanted] = [
      await session.prepare('p', [message('committed')]),
      await session.prepare('p', [message('rolled back')]),
    ];
    for (const id of ['acked', 'retried', 'dead', 'redriven']) await send(id);
    await leaveFree(RESERVE_BYTES - 1);
    await look();
    expect(problems.join()).toContain('nearly full: sends are refused');
    expect(await client.admin('storage')).toMatchObject({ isShort: true, reservedBytes: RESERVE_BYTES });

    await expect(send('more')).rejects.toMatchObject(FULL);
    await expect(session.append([message('later', { deliverAtMs: later })])).rejects.toMatchObject(FULL);
    await expect(session.prepare('p', [message('half')])).rejects.toMatchObject(FULL);
    await expect(session.reschedule('handle', later + 1)).rejects.toMatchObject(FULL);
    await expect(session.openProducer({ name: 'p', owner: 'o', renew: false })).rejects.toMatchObject(FULL);
    await expect(broker.createTopic('another')).rejects.toMatchObject(FULL);

    expect(await client.ack(await client.take())).toBe(true);
    expect(await client.retry(await client.take())).toBe(true);
    const doomed = await client.take();
    await session.settle([
      { deliveryId: doomed.deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'x' },
    ]);
    await session.decide(undecided, 'commit');
    await session.decide(unwanted, 'rollback');
    expect(await session.recall('handle')).toBe(true);
    expect(await take()).toBe('redriven');
    expect(await take()).toBe('retried');
    expect(await take()).toBe('committed');
    await expect(client.admin('redrive', 'g', 'dead')).rejects.toMatchObject(FULL);
    await expect(client.admin('redriveAll', 'g', {}, {})).rejects.toMatchObject(FULL);
    await expect(
      client.admin('editDeadLetter', 'g', 'dead', { body: Buffer.from('y') }),
    ).rejects.toMatchObject(FULL);
    expect(await client.admin('discard', 'g', 'dead')).toBe(true);
  });

  it('takes sends again once there is space, without a restart', async () => {
    await leaveFree(RESERVE_BYTES - 1);
    await look();
    await expect(send('refused')).rejects.toMatchObject(FULL);
    await leaveFree(RESERVE_BYTES * 2 - 1);
    await look();
    await expect(send('still refused')).rejects.toMatchObject(FULL);
    await leaveFree(RESERVE_BYTES * 2 + 10 * KIB);
    await look();
    expect(problems.at(-1)).toContain('has space again');
    await send('taken');
    expect([...(await stored(broker)).values()].flat()).toEqual(['taken']);
  });

  it('leaves room for the consumers when the broker itself is who fills it', async () => {
    await client.attach();
    let taken = 0;
    const all = Array.from({ length: 600 }, (_, n) => send(`m${n}`, 8 * KIB).then(() => (taken += 1)));
    const results = await Promise.allSettled(all);
    expect(results.filter(({ status }) => status === 'rejected')[0]).toMatchObject({ reason: FULL });
    expect(taken).toBeGreaterThan(300);
    expect(await files.freeBytes()).toBeGreaterThan(RESERVE_BYTES - 64 * KIB);
    expect(reserve()).toBe(RESERVE_BYTES);
    for (let n = 0; n < taken; n++) await client.ack(await client.take());
    expect((await client.admin<{ lag: number }[]>('groups'))[0]?.lag).toBe(0);
  });

  it('answers for what is stored already', async () => {
    await send('m1');
    await leaveFree(0);
    await look();
    expect(await send('m1')).toMatchObject([{ duplicate: true }]);
    await expect(
      client.session.append([message('m1', { id: 'm1' }), message('m2', { id: 'm2' })]),
    ).rejects.toMatchObject(FULL);
  });

  it('holds delayed messages that are due, and delivers them when there is space', async () => {
    await client.attach();
    await client.session.append([message('due', { deliverAtMs: clock.now() + 5_000 })]);
    await leaveFree(0);
    await look();
    clock.advance(10_000);
    broker.tick();
    await settled(5);
    expect(client.texts).toEqual([]);
    expect(await client.admin('timers')).toMatchObject({ pending: 1, pastDue: 1 });
    files.othersBytes = 0;
    await look();
    broker.tick();
    expect(await take()).toBe('due');
  });

  it('begins no segment while it lasts, and the next one afterwards', async () => {
    await client.attach();
    for (let n = 0; n < 3; n++) await send(`m${n}`, 80 * KIB);
    expect(segments()).toBe(1);
    await leaveFree(RESERVE_BYTES / 2);
    await look();
    await client.retry(await client.take());
    await client.retry(await client.take());
    expect(segments()).toBe(1);
    files.othersBytes = 0;
    await look();
    for (let n = 3; n < 8; n++) await send(`m${n}`, 80 * KIB);
    expect(segments()).toBeGreaterThan(1);
  });

  it('carries nothing forward that would not fit beside the reserve, and does once it fits', async () => {
    await open({ reserveBytes: 64 * KIB, segmentBytes: 512 * KIB, retention: { maxAgeMs: 60_000 } });
    const deliverAtMs = clock.now() + 86_400_000;
    const delayed = () => client.session.append([message('.'.repeat(110 * KIB), { deliverAtMs })]);
    for (let n = 0; n < 3; n++) await send(`m${n}`, 90 * KIB);
    for (let n = 0; n < 2; n++) await delayed();
    for (let n = 3; n < 9; n++) await send(`m${n}`, 90 * KIB);
    const before = segments();
    await leaveFree(100 * KIB);
    clock.advance(120_000);
    await passRounds(4);
    expect(await client.admin('storage')).toMatchObject({ isShort: false, reservedBytes: 64 * KIB });
    await send('taken', 100);
    files.othersBytes = 0;
    await passRounds(2);
    expect(segments()).toBeLessThan(before);
    expect(await client.admin('timers')).toMatchObject({ pending: 2 });

    async function passRounds(count: number): Promise<void> {
      for (let n = 0; n < count; n++) {
        clock.advance(10_000);
        broker.tick();
        await settled(20);
      }
    }
  });

  it.each(['delayed message', 'dead letter'])(
    'drops what is settled and old although each segment still owes a %s, and takes sends again by itself',
    async (owed) => {
      await open({ retention: { maxAgeMs: 60_000 } });
      await client.attach({ leaseMs: 86_400_000 });
      const deliverAtMs = clock.now() + 30_000;
      const owe = async (): Promise<void> => {
        await client.session.append([message('owed', owed === 'delayed message' ? { deliverAtMs } : {})]);
        if (owed === 'delayed message') return;
        const { deliveryId } = await client.take();
        const verdict = { deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'x' } as const;
        await client.session.settle([verdict]);
      };
      const fill = async (): Promise<never> => {
        for (let n = 0; ; n++) {
          await send(`m${n}`, 30 * KIB);
          await client.ack(await client.take());
          if (n % 4 === 0) await owe();
        }
      };
      await expect(fill()).rejects.toMatchObject(FULL);
      const full = segments();
      clock.advance(60_000);
      for (let n = 0; n < 30; n++) {
        clock.advance(10_000);
        broker.tick();
        await settled(5);
      }
      expect(segments()).toBeLessThan(full / 2);
      expect(await client.admin('storage')).toMatchObject({ isShort: false });
      await send('taken');
    },
  );

  it('begins no segment whose snapshot would not fit beside the reserve', async () => {
    await open({ reserveBytes: 64 * KIB });
    for (let n = 0; n < 1_500; n++) await broker.createTopic(`${'t'.repeat(100)}${n}`, { partitions: 1 });
    let sent = 0;
    const sendSome = (bytes = 8 * KIB): Promise<unknown> => send(`s${sent++}`, bytes);
    const newestBytes = (): number =>
      files.content(files.paths().findLast((path) => path.endsWith('.log'))!).byteLength;
    for (const first = segments(); segments() === first;) await sendSome();
    for (const half = newestBytes(); newestBytes() < 2 * half - 40 * KIB;) await sendSome();
    await leaveFree(200 * KIB);
    await look();
    const before = segments();
    for (let n = 0; n < 12; n++) await sendSome();
    expect(await client.admin('storage')).toMatchObject({ isShort: false, reservedBytes: 64 * KIB });
    expect(segments()).toBe(before);
    files.othersBytes = 0;
    await look();
    for (let n = 0; n < 80; n++) await sendSome();
    expect(segments()).toBeGreaterThan(before);
  });

  it('takes the space of the trace first, which is kept in memory meanwhile', async () => {
    await open({ traceSteps: 1_000 });
    await send('m1');
    const traceFiles = (): number => files.paths().filter((path) => path.endsWith('.trace')).length;
    const look = async (): Promise<void> => {
      clock.advance(1_000);
      broker.tick();
      await settled();
    };
    await look();
    expect(traceFiles()).toBe(1);
    await leaveFree(0);
    await look();
    await look();
    expect(traceFiles()).toBe(0);
    expect(await client.admin<unknown[]>('trace', 'm1')).not.toEqual([]);
    await broker.close();
    expect(traceFiles()).toBe(0);
  });

  it('is found so by a start, which opens, drains, and has all that was confirmed', async () => {
    await send('m1');
    await send('m2');
    await leaveFree(0);
    files = files.kill();
    await open();
    expect(problems.join()).toContain('nearly full');
    await expect(send('m3')).rejects.toMatchObject(FULL);
    await client.attach();
    await client.ack(await client.take());
    files = files.kill();
    await open();
    await client.attach();
    expect(await take()).toBe('m2');
  });
});

describe('a disk that another process filled to the last block', () => {
  it.each([true, false])(
    'gives up the reserve piece by piece, and refuses sends from the first on (free space told: %p)',
    async (tellsFree) => {
      files.tellsFree = tellsFree;
      await client.attach();
      for (let n = 0; n < 20; n++) await send(`m${n}`);
      await leaveAllToOthers();
      await client.ack(await client.take());
      expect(reserve()).toBe((RESERVE_BYTES / 8) * 7);
      await expect(send('refused')).rejects.toMatchObject(FULL);
      for (let n = 1; n < 20; n++) await client.ack(await client.take());
      expect(reserve()).toBe((RESERVE_BYTES / 8) * 7);
      files.othersBytes = 0;
      await look();
      expect(reserve()).toBe(RESERVE_BYTES);
      await send('taken');
      files = files.kill();
      await open();
      expect((await client.admin<{ lag: number }[]>('groups'))[0]?.lag).toBe(1);
    },
  );

  it('keeps sends and acks of one write together: both are done, or neither', async () => {
    await client.attach();
    await send('m1');
    const delivery = await client.take();
    await leaveAllToOthers();
    const [receipts, isAcked] = await Promise.all([send('m2'), client.ack(delivery)]);
    expect(receipts).toMatchObject([{ status: 'SEND_OK' }]);
    expect(isAcked).toBe(true);
    await expect(send('m3')).rejects.toMatchObject(FULL);
    files = files.crash();
    await open();
    expect([...(await stored(broker)).values()].flat()).toEqual(['m1', 'm2']);
  });

  it('stops the broker when the reserve is used up, and is drained after a restart when a little is there', async () => {
    await client.attach();
    for (let n = 0; n < 20; n++) await send(`m${n}`, 60 * KIB);
    await leaveAllToOthers();
    let failure: unknown;
    for (let n = 0; failure === undefined && n < 20; n++)
      await client.retry(await client.take()).catch((error: unknown) => (failure = error));
    expect(failure).toMatchObject({ code: 'STORAGE_FAILED' });
    await broker.close().catch(() => undefined);
    files = files.kill();
    files.othersBytes -= 64 * KIB;
    await open();
    await client.attach();
    await expect(send('refused')).rejects.toMatchObject(FULL);
    for (let n = 0; n < 20; n++) await client.ack(await client.take());
    expect((await client.admin<{ lag: number }[]>('groups'))[0]?.lag).toBe(0);
  });

  it('does not sync again what failed to: the broker stops, and a start has what was confirmed', async () => {
    await send('m1');
    // The write, then its sync.
    files.failAt(files.calls + 2, 'ENOSPC');
    await expect(send('m2', 100)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    expect(reserve()).toBe(RESERVE_BYTES);
    files = files.crash();
    await open();
    expect([...(await stored(broker)).values()].flat()).toEqual(['m1']);
  });

  async function leaveAllToOthers(): Promise<void> {
    const { tellsFree } = files;
    files.tellsFree = true;
    await leaveFree(0);
    files.tellsFree = tellsFree;
  }
});

describe('the reserve', () => {
  it('is written when a broker opens, and waited for where there is no space for it', async () => {
    expect(reserve()).toBe(RESERVE_BYTES);
    files = new MemoryFiles();
    files.capacityBytes = RESERVE_BYTES;
    await open();
    await expect(send('refused')).rejects.toMatchObject(FULL);
    expect(await client.admin('storage')).toMatchObject({
      isShort: true,
      reservedBytes: 0,
      reserveBytes: RESERVE_BYTES,
    });
    files.capacityBytes = 4 * KIB * KIB;
    await look();
    await send('taken');
  });

  it('follows its setting: smaller, larger, none', async () => {
    await open({ reserveBytes: RESERVE_BYTES / 2 });
    expect(reserve()).toBe(RESERVE_BYTES / 2);
    await open({ reserveBytes: RESERVE_BYTES * 2 });
    expect(reserve()).toBe(RESERVE_BYTES * 2);
    await open({ reserveBytes: 0 });
    expect(files.paths().filter((path) => path.endsWith('reserve'))).toEqual([]);
    await leaveFree(16 * KIB);
    await look();
    await send('taken');
  });

  it('is whole again after a death at any step of giving it up and filling it', async () => {
    for (let step = 1; step <= 24; step++) {
      files = new MemoryFiles();
      files.capacityBytes = 4 * KIB * KIB;
      await open();
      await send('m1');
      await leaveFree(0);
      files.failAt(files.calls + step, 'EIO', true);
      await send('m2').catch(() => undefined);
      files.othersBytes = 0;
      await look();
      await broker.close().catch(() => undefined);
      files = files.crash();
      await open();
      expect(reserve()).toBe(RESERVE_BYTES);
      await send('m3');
      expect([...(await stored(broker)).values()].flat()).toEqual(expect.arrayContaining(['m1', 'm3']));
    }
  });
});

it('is looked at once a second, however often there is something to do', async () => {
  let looks = 0;
  const freeBytes = files.freeBytes.bind(files);
  files.freeBytes = () => ((looks += 1), freeBytes());
  for (let n = 0; n < 10; n++) {
    clock.advance(100);
    broker.tick();
    await settled(1);
  }
  expect(looks).toBe(1);
});
