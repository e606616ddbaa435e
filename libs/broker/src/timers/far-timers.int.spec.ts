import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { TimerInfo } from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  until,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const HORIZON_MS = 2 * MINUTE_MS;
const PATIENT = { leaseMs: DAY_MS, maxInFlightMessages: 10_000 };

let clock: ManualClock;
let sandbox: BrokerSandbox;
let files: MemoryFiles;
let broker: EmbeddedBroker;
let client: EngineClient;
let problems: string[];

beforeEach(async () => {
  clock = new ManualClock();
  problems = [];
  sandbox = await BrokerSandbox.make({
    ...{ clock, traceSteps: 0, timerHorizonMs: HORIZON_MS, tailCacheBytes: 1, readCacheBytes: 1 },
    onProblem: ({ error }) => problems.push(String(error)),
  });
  await open(new MemoryFiles());
});
afterEach(() => sandbox.cleanUp());

async function open(from: MemoryFiles): Promise<void> {
  files = from;
  broker = await sandbox.reopen({ files });
  client = new EngineClient(broker);
  await client.attach(PATIENT);
}
const info = () => client.admin<TimerInfo>('timers');
const later = (id: string, deliverAtMs: number) => message(id, { id, key: 'k', deliverAtMs });
/** Moves the clock in steps, each with time for what comes near to be read. */
async function pass(ms: number, stepMs = ms): Promise<void> {
  for (let left = ms; left > 0; left -= stepMs) {
    clock.advance(Math.min(left, stepMs));
    broker.tick();
    await settled(5);
  }
}

describe('timers beyond the horizon', () => {
  it.each(['kill', 'crash'] as const)(
    'are there after a %s as those within it are, each at its time',
    async (how) => {
      const start = clock.now();
      const times = [1_000, HORIZON_MS, 3 * MINUTE_MS, 10 * MINUTE_MS, 10 * MINUTE_MS + 1];
      await client.session.append(times.map((ms) => later(`${ms}`, start + ms)));
      await open(files[how]());
      expect(await info()).toMatchObject({ pending: 5, nextDueAtMs: start + 1_000 });
      for (const ms of times) {
        await pass(start + ms - 1 - clock.now(), 30_000);
        expect(client.texts).not.toContain(`${ms}`);
        await open(files[how]());
        await pass(1);
        await until(() => client.texts.includes(`${ms}`));
        await client.ack(await client.take());
      }
      expect(await info()).toEqual({ pending: 0, pastDue: 0, nextDueAtMs: undefined });
    },
  );

  it('come at the millisecond, also at the border of a period and when they are a year away', async () => {
    const period = HORIZON_MS / 2;
    const border = (Math.floor(clock.now() / period) + 7) * period;
    const year = border + 365 * DAY_MS;
    for (const time of [border - 1, border, border + 1, year])
      await client.session.append([later(`${time}`, time)]);
    await pass(border - 2 - clock.now(), period / 3);
    for (const time of [border - 1, border, border + 1]) {
      expect(client.texts).not.toContain(`${time}`);
      await pass(1);
      await until(() => client.texts.includes(`${time}`));
      await client.ack(await client.take());
    }
    await pass(year - 1 - clock.now(), 30 * DAY_MS);
    expect(client.texts).not.toContain(`${year}`);
    await pass(1);
    await until(() => client.texts.includes(`${year}`));
  });

  it('are taken back and moved as those within it are, from either side to the other', async () => {
    const start = clock.now();
    await client.session.append([
      later('far, near', start + HOUR_MS),
      later('near, far', start + MINUTE_MS),
      later('far, farther', start + HOUR_MS),
      later('far, never', start + HOUR_MS),
      later('near, far, never', start + MINUTE_MS),
    ]);
    expect(await client.session.reschedule('far, near', start + MINUTE_MS)).toBe(true);
    expect(await client.session.reschedule('near, far', start + HOUR_MS)).toBe(true);
    expect(await client.session.reschedule('far, farther', start + 2 * HOUR_MS)).toBe(true);
    expect(await client.session.recall('far, never')).toBe(true);
    expect(await client.session.reschedule('near, far, never', start + HOUR_MS)).toBe(true);
    expect(await client.session.recall('near, far, never')).toBe(true);
    for (const from of [files, files.kill()]) {
      await open(from);
      expect(await info()).toMatchObject({ pending: 3, nextDueAtMs: start + MINUTE_MS });
      expect(await client.session.recall('far, never')).toBe(true);
      expect(await client.session.recall('nobody')).toBe(false);
    }
    await pass(MINUTE_MS);
    await until(() => client.texts.length === 1);
    await pass(59 * MINUTE_MS, MINUTE_MS);
    await until(() => client.texts.length === 2);
    await pass(HOUR_MS, MINUTE_MS);
    await until(() => client.texts.length === 3);
    expect(client.texts).toEqual(['far, near', 'near, far', 'far, farther']);
  });

  it('keep their handles: another message under one of them is a duplicate', async () => {
    const first = { timerId: 'h', deliverAtMs: clock.now() + HOUR_MS };
    await client.session.append([message('x', { ...first, id: 'm1' })]);
    for (const from of [files, files.kill()]) {
      await open(from);
      await pass(5 * MINUTE_MS);
      const [again] = await client.session.append([message('x', { ...first, id: 'm2' })]);
      expect(again).toMatchObject({ duplicate: true, messageId: 'm1' });
    }
    expect((await info()).pending).toBe(1);
  });

  it('come in the order of their times with those within it when the clock is set forward over all of them', async () => {
    const start = clock.now();
    const minutes = Array.from({ length: 300 }, (_, i) => ((i * 7919) % 300) + 1);
    await client.session.append(minutes.map((minute) => later(`${minute}`, start + minute * MINUTE_MS)));
    await pass(DAY_MS);
    await until(() => client.texts.length === 300);
    expect(client.texts.map(Number)).toEqual(minutes.sort((a, b) => a - b));
  });

  it('are neither lost nor early when the clock is set forward and back while they come near', async () => {
    const start = clock.now();
    await client.session.append(
      Array.from({ length: 400 }, (_, i) => later(`${i}`, start + (i + 1) * MINUTE_MS)),
    );
    await pass(10 * MINUTE_MS);
    await until(() => client.texts.length === 10);
    clock.advance(3 * HOUR_MS);
    broker.tick();
    clock.advance(-3 * HOUR_MS);
    await settled();
    await client.session.append([later('new', clock.now() + 5 * MINUTE_MS)]);
    expect(client.texts.length).toBeLessThanOrEqual(190);
    await pass(5 * MINUTE_MS);
    await until(() => client.texts.includes('new'));
    await pass(400 * MINUTE_MS, 7 * MINUTE_MS);
    await until(() => client.texts.length === 401);
    expect(new Set(client.texts).size).toBe(401);
  });

  it('come in thousands of one moment, first come first served, each once', async () => {
    const time = clock.now() + HOUR_MS;
    for (let n = 0; n < 5; n++)
      await client.session.append(
        Array.from({ length: 1_000 }, (_, i) => message(`${n * 1_000 + i}`, { key: 'k', deliverAtMs: time })),
      );
    await pass(HOUR_MS - 1, 10 * MINUTE_MS);
    expect(client.texts).toEqual([]);
    await pass(1);
    await until(() => client.texts.length === 5_000);
    expect(client.texts).toEqual(Array.from({ length: 5_000 }, (_, i) => `${i}`));
  });

  it('that cannot be read as they come near are said, hold up no others, and come at their time', async () => {
    const time = clock.now() + HOUR_MS;
    await client.session.append([later('far', time)]);
    await client.session.append([message('x'.repeat(1_000_000), { topic: 'other' })]);
    await client.session.append([later('near', clock.now() + MINUTE_MS)]);
    // So that the newest block does not hold them.
    for (let n = 0; n < 3; n++)
      await client.session.append([message('x'.repeat(1_000_000), { topic: 'other' })]);
    const path = files.paths().find((each) => each.endsWith('.log'))!;
    await pass(57 * MINUTE_MS, MINUTE_MS);
    await until(() => client.texts.length === 1);
    files.failsToRead = (each) => each === path;
    await pass(MINUTE_MS, 1_000);
    await until(() => problems.length > 0);
    expect(problems[0]).toContain('EIO');
    // Tried again every ten seconds, not at every look.
    expect(problems.length).toBeLessThan(12);
    expect(await info()).toMatchObject({ pending: 1, pastDue: 0 });
    files.failsToRead = () => false;
    await pass(2 * MINUTE_MS - 1, 9_000);
    expect(client.texts).toEqual(['near']);
    await pass(1);
    await until(() => client.texts.includes('far'));
  });
});
