import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TimerInfo } from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  stored,
  until,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';
import { HORIZON_MS } from './far-timers.js';

const HOUR_MS = 3_600_000;
const PATIENT = { leaseMs: 24 * HOUR_MS };

let timerHorizonMs: number;
let clock: ManualClock;
let sandbox: BrokerSandbox;
let files: MemoryFiles;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  clock = new ManualClock();
  sandbox = await BrokerSandbox.make({ clock, timerHorizonMs, tailCacheBytes: 1, readCacheBytes: 1 });
  await open(new MemoryFiles());
});
afterEach(() => sandbox.cleanUp());

async function open(from: MemoryFiles): Promise<void> {
  files = from;
  broker = await sandbox.reopen({ files });
  client = new EngineClient(broker);
}
const pass = async (ms: number): Promise<void> => {
  clock.advance(ms);
  broker.tick();
  await settled();
};
const pending = async (): Promise<TimerInfo> =>
  (await client.session.admin({ method: 'timers', args: [] })) as TimerInfo;
const after = (ms: number) => ({ deliverAtMs: clock.now() + ms });

/** Under load it takes a while; nothing else comes with it. */
async function come(...texts: string[]): Promise<void> {
  await until(() => client.texts.length >= texts.length, texts.join(', '));
  expect(client.texts).toEqual(texts);
}

describe.each([HORIZON_MS, 20])(
  'another time for a delayed message, with a horizon of %p ms,',
  (horizonMs) => {
    beforeAll(() => {
      timerHorizonMs = horizonMs;
    });

    it('takes the place of the first one: it comes then, once', async () => {
      await client.attach(PATIENT);
      await client.session.append([message('later', { id: 'l', ...after(1_000) })]);
      await client.session.append([message('sooner', { id: 's', ...after(HOUR_MS) })]);
      expect(await client.session.reschedule('l', clock.now() + HOUR_MS)).toBe(true);
      expect(await client.session.reschedule('s', clock.now() + 500)).toBe(true);
      expect(await pending()).toMatchObject({ pending: 2, nextDueAtMs: clock.now() + 500 });
      await pass(499);
      expect(client.texts).toEqual([]);
      await pass(1);
      await come('sooner');
      await pass(HOUR_MS - 501);
      await come('sooner');
      await pass(1);
      await until(() => client.delivered.length === 2);
      expect((await pending()).pending).toBe(0);
    });

    it('that is in the past is at once', async () => {
      await client.attach(PATIENT);
      await client.session.append([message('x', { id: 'x', ...after(HOUR_MS) })]);
      await client.session.reschedule('x', 0);
      await pass(1);
      await until(() => client.delivered.length === 1);
    });

    it.each(['kill', 'crash'] as const)('holds after a %s that follows the answer', async (how) => {
      await client.session.append([message('x', { id: 'x', ...after(1_000) })]);
      const deliverAtMs = clock.now() + HOUR_MS;
      expect(await client.session.reschedule('x', deliverAtMs)).toBe(true);
      await open(files[how]());
      expect(await pending()).toMatchObject({ pending: 1, nextDueAtMs: deliverAtMs });
      expect(await client.session.reschedule('x', deliverAtMs + 1)).toBe(true);
      expect(await client.session.recall('x')).toBe(true);
    });

    it('is the old one or the new one, whatever is left of its entry', async () => {
      await client.session.append([message('x', { id: 'x', ...after(1_000) })]);
      const path = files.paths().find((each) => each.endsWith('.log'))!;
      const before = files.content(path).byteLength;
      const [old, next] = [clock.now() + 1_000, clock.now() + HOUR_MS];
      await client.session.reschedule('x', next);
      const whole = Buffer.from(files.content(path));
      for (let length = before; length <= whole.byteLength; length++) {
        const torn = new MemoryFiles();
        torn.put(path, Buffer.from(whole.subarray(0, length)));
        await open(torn);
        const { pending: count, nextDueAtMs } = await pending();
        expect([count, nextDueAtMs]).toEqual([1, length < whole.byteLength ? old : next]);
      }
    }, 240_000);

    it('goes with its record when the segments before it are dropped', async () => {
      await sandbox.cleanUp();
      const retention = { maxBytes: 200_000 };
      sandbox = await BrokerSandbox.make({ clock, timerHorizonMs, segmentBytes: 64 * 1024, retention });
      await open(new MemoryFiles());
      await client.attach({ ...PATIENT, topics: [{ topic: 'traffic' }] });
      await client.session.append([message('x', { id: 'x', ...after(1_000) })]);
      await client.session.reschedule('x', clock.now() + 24 * HOUR_MS);
      for (let n = 0; n < 20; n++) {
        await client.session.append([message('x'.repeat(40_000), { topic: 'traffic' })]);
        await client.ack(await client.take());
        await pass(11_000);
      }
      expect(files.paths().some((path) => path.endsWith('/00000000000000000000.log'))).toBe(false);
      await open(files.kill());
      await pass(HOUR_MS);
      expect((await pending()).pending).toBe(1);
      await client.attach({ ...PATIENT, group: 'h' });
      await pass(24 * HOUR_MS);
      await until(() => client.texts.includes('x'));
    });

    it('and a recall and its hour at the same moment: one of them happens, and the answers say so', async () => {
      await client.attach({ ...PATIENT, maxInFlightMessages: 1_000 });
      const handles = Array.from({ length: 300 }, (_, i) => `h${i}`);
      await client.session.append(handles.map((timerId) => message(timerId, { timerId, ...after(1_000) })));
      for (let i = 0; i < 4; i++)
        await client.session.append([message('x'.repeat(900_000), { topic: 'other' })]);
      clock.advance(1_000);
      const answers: Promise<[string, 'moved' | 'recalled', boolean]>[] = [];
      for (const [i, handle] of handles.entries()) {
        if (i === 100) broker.tick();
        if (i % 50 === 0) await settled(1);
        const how = i % 3 === 0 ? 'recalled' : 'moved';
        const answer =
          how === 'recalled'
            ? client.session.recall(handle)
            : client.session.reschedule(handle, clock.now() + HOUR_MS);
        answers.push(answer.then((yes) => [handle, how, yes]));
      }
      const yes = (await Promise.all(answers)).filter(([, , done]) => done);
      const moved = yes.filter(([, how]) => how === 'moved').map(([handle]) => handle);
      await until(() => client.delivered.length === handles.length - yes.length);
      expect((await pending()).pending).toBe(moved.length);
      expect(moved.length).toBeGreaterThan(0);
      for (const [handle] of yes) expect(client.texts).not.toContain(handle);
      await pass(HOUR_MS);
      await until(async () => (await pending()).pending === 0);
      await until(() => moved.every((handle) => client.texts.includes(handle)));
      expect(client.texts).toHaveLength(new Set(client.texts).size);
    });

    it('is for all copies that wait under the handle, and says which topic is meant where two have it', async () => {
      for (const name of ['first', 'second']) {
        const id = await client.session.prepare('p', [
          message(name, { id: name, timerId: 'h', ...after(1_000) }),
        ]);
        await client.session.decide(id, 'commit');
      }
      expect(await client.session.reschedule('h', clock.now() + HOUR_MS)).toBe(true);
      await pass(2_000);
      expect((await pending()).nextDueAtMs).toBe(clock.now() - 2_000 + HOUR_MS);
      await client.session.append([message('other', { topic: 'u', timerId: 'h', ...after(1_000) })]);
      await expect(client.session.reschedule('h', clock.now())).rejects.toThrow('INVALID_ARGUMENT');
      expect(await client.session.reschedule('h', clock.now(), 'u')).toBe(true);
      await pass(1);
      await until(async () => [...(await stored(broker)).keys()].some((place) => place.startsWith('u/')));
    });

    it.each([-1, NaN, Infinity, undefined, null, '5', 1e16])('is not %p', async (time) => {
      await client.session.append([message('x', { id: 'x', ...after(HOUR_MS) })]);
      await expect(client.session.reschedule('x', time as number)).rejects.toThrow('INVALID_ARGUMENT');
    });
  },
);
