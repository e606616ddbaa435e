import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DeadLetter, GroupInfo, TransactionInfo } from '#libs/messaging/port';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  textOf,
  until,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';
import { HORIZON_MS } from '../timers/far-timers.js';
import type { EmbeddedBroker } from './embedded-broker.js';

const SEGMENT_BYTES = 64 * 1024;
const MAX_BYTES = 4 * SEGMENT_BYTES;
const HOUR_MS = 3_600_000;

let timerHorizonMs: number;
let clock: ManualClock;
let files: MemoryFiles;
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  clock = new ManualClock();
  files = new MemoryFiles();
  const retention = { maxBytes: MAX_BYTES };
  sandbox = await BrokerSandbox.make({
    ...{ clock, timerHorizonMs, segmentBytes: SEGMENT_BYTES },
    ...{ retention, traceSteps: 0 },
  });
  await start(files);
});
afterEach(() => sandbox.cleanUp());

async function start(from: MemoryFiles): Promise<void> {
  files = from;
  broker = await sandbox.reopen({ files });
  client = new EngineClient(broker);
  await client.attach({ leaseMs: 24 * HOUR_MS, maxInFlightMessages: 1_000 });
}

const journalBytes = (): number =>
  files
    .paths()
    .filter((path) => path.endsWith('.log'))
    .reduce((sum, path) => sum + files.content(path).byteLength, 0);

/** Twenty segments' worth of messages, each settled. */
async function traffic(): Promise<void> {
  for (let n = 0; n < 20; n++) {
    const text = 'x'.repeat(8_000);
    await client.session.append(Array.from({ length: 8 }, () => message(text, { tag: 'traffic' })));
    await until(() => client.delivered.filter((each) => textOf(each) === text).length === 8);
    for (const delivery of client.delivered.splice(0))
      if (textOf(delivery) === text) await client.ack(delivery);
    clock.advance(11_000);
    broker.tick();
    await settled(3);
  }
}

describe.each([HORIZON_MS, 20])('what is old and still owed, with a horizon of %p ms,', (horizonMs) => {
  beforeAll(() => {
    timerHorizonMs = horizonMs;
  });

  it('does not keep what came after it, and is there when it is due, decided or redriven', async () => {
    await client.session.append([message('poison', { id: 'p' }), message('again', { id: 'r' })]);
    await until(() => client.delivered.length === 2);
    const [poison, again] = client.delivered.splice(0);
    const { deliveryId } = poison!;
    await client.session.settle([{ deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'no' }]);
    await client.retry(again!, HOUR_MS);
    expect(await client.admin('editDeadLetter', 'g', 'p', { body: Buffer.from('mended') })).toBe(true);
    await client.session.append([message('later', { deliverAtMs: clock.now() + HOUR_MS, timerId: 'h' })]);
    await client.session.append([message('never', { deliverAtMs: clock.now() + HOUR_MS, timerId: 'n' })]);
    const id = await client.session.prepare('p', [message('half 1'), message('half 2')]);
    const timer = message('recalled', { deliverAtMs: clock.now() + HOUR_MS, timerId: 'n' });
    const late = await client.session.prepare('p', [timer]);
    expect(await client.session.recall('n')).toBe(true);

    for (const from of [() => files, () => files.kill(), () => files.crash()]) {
      await traffic();
      expect(journalBytes()).toBeLessThan(MAX_BYTES + 2 * SEGMENT_BYTES);
      await start(from());
      expect((await client.admin<TransactionInfo>('transactions')).pending).toBe(2);
      expect((await client.admin<{ pending: number }>('timers')).pending).toBe(2);
      expect((await client.admin<GroupInfo[]>('groups'))[0]).toMatchObject({
        retrying: 1,
        deadLetters: 1,
      });
    }
    const letters = await client.admin<DeadLetter[]>('deadLetters', 'g');
    expect(letters).toMatchObject([{ id: 'p', reason: 'rejected', error: 'no' }]);
    expect(await client.admin('redrive', 'g', 'p')).toBe(true);
    expect(await client.session.decide(id, 'commit')).toHaveLength(2);
    // It was prepared before its handle was taken back, wherever it is now.
    await client.session.decide(late, 'commit');
    clock.advance(HOUR_MS);
    broker.tick();
    await until(() => client.delivered.length === 5);
    await settled();
    expect(client.texts.sort()).toEqual(['again', 'half 1', 'half 2', 'later', 'mended']);
    expect(client.delivered.find((each) => textOf(each) === 'again')).toMatchObject({ attempt: 2 });
  }, 240_000);

  it('keeps its segment when it is most of it', async () => {
    const inAnHour = { deliverAtMs: clock.now() + HOUR_MS };
    for (let n = 0; n < 6; n++)
      await client.session.append([message('y'.repeat(8_000), { ...inAnHour, tag: 'later' })]);
    await traffic();
    expect(journalBytes()).toBeGreaterThan(20 * SEGMENT_BYTES);
    await start(files.kill());
    expect((await client.admin<{ pending: number }>('timers')).pending).toBe(6);
  }, 30_000);
});
