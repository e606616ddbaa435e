import { describe, expect, it } from '@jest/globals';
import type { BatchHandler, DeliveredMessage, Subscription } from '#libs/messaging/port';
import type { RawDelivery } from '../session.js';
import { BrokerSandbox } from '../testing/engine-client.js';
import { FakeBroker } from '../testing/fake-broker.js';
import { until } from '../testing/until.js';
import { portOver } from './port.js';

const log = { info: () => undefined, warn: () => undefined };
const topics = [{ topic: 'order' }];

function open() {
  const broker = new FakeBroker();
  const port = portOver((events) => broker.openSession('spec', events), { log });
  const send = (...texts: string[]) =>
    port.send(
      texts.map((text) => ({
        topic: 'order',
        tag: 't',
        key: text.split(' ')[0] ?? '',
        body: Buffer.from(text),
      })),
    );
  const subscribe = (options: Partial<Subscription>, handler: BatchHandler) =>
    port.subscribe({ group: 'g', topics, ...options }, handler);
  return { broker, port, send, subscribe };
}

const names = (count: number): string[] => Array.from({ length: count }, (_, n) => `k${n}`);
const ackAll = (batch: readonly DeliveredMessage[]): Promise<void> =>
  Promise.all(batch.map((each) => each.ack())).then(() => undefined);

describe('the port over a session', () => {
  it('runs as many calls beside each other as whole batches fit into the in-flight bound', async () => {
    const { send, subscribe } = open();
    let running = 0;
    let most = 0;
    let seen = 0;
    await send(...names(40));
    await subscribe({ maxBatchMessages: 5, maxInFlightMessages: 15 }, async (batch) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running--;
      seen += batch.length;
      await ackAll(batch);
    });
    await until(() => seen === 40);
    expect(most).toBe(3);
  });

  it('lets batches grow while all calls are busy', async () => {
    const { send, subscribe } = open();
    const sizes: number[] = [];
    let release: () => void = () => undefined;
    await subscribe({ maxBatchMessages: 100, maxInFlightMessages: 100 }, async (batch) => {
      sizes.push(batch.length);
      if (sizes.length === 1) await new Promise<void>((resolve) => (release = resolve));
      await ackAll(batch);
    });
    await send('first');
    await until(() => sizes.length === 1);
    for (const name of names(20)) await send(name);
    release();
    await until(() => sizes.length === 2);
    expect(sizes).toEqual([1, 20]);
  });

  it('never runs two calls with one key of an ordered subscription', async () => {
    const { send, subscribe } = open();
    const running = new Set<string>();
    let overlaps = 0;
    let seen = 0;
    await send(...names(60).map((_, n) => `key${n % 3} ${n}`));
    await subscribe({ order: 'by-key', maxInFlightMessages: 60 }, async (batch) => {
      const key = batch[0]?.message.key ?? '';
      if (running.has(key)) overlaps++;
      running.add(key);
      // Acknowledged before the call is over: the broker may send the next of the key, the port must wait.
      await ackAll(batch);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running.delete(key);
      seen += batch.length;
    });
    await until(() => seen === 60);
    expect(overlaps).toBe(0);
  });

  it('leaves a message undecoded that nobody looks at', async () => {
    const broker = new FakeBroker();
    let looks = 0;
    const counting = (raw: RawDelivery): RawDelivery =>
      Object.defineProperty({ ...raw }, 'message', { get: () => ((looks += 1), raw.message) });
    const port = portOver(
      (events) =>
        broker.openSession('spec', {
          deliveries: (id, raws) => events.deliveries(id, raws.map(counting)),
          leaseLost: (id, lost) => events.leaseLost(id, lost),
          check: (...asked) => events.check(...asked),
          closed: (error) => events.closed(error),
        }),
      { log },
    );
    await port.send([{ topic: 'order', tag: 't', key: 'k', body: Buffer.from('x') }]);
    await port.subscribe({ group: 'g', topics }, ackAll);
    await until(() => broker.settled.length === 1);
    expect(looks).toBe(0);
  });

  it('settles the verdicts of one tick in one call', async () => {
    const { broker, send, subscribe } = open();
    await send(...names(50));
    let calls = 0;
    const session = broker.sessions[0];
    const settle = session?.settle.bind(session);
    if (session && settle) {
      session.settle = (settlements) => {
        calls++;
        return settle(settlements);
      };
    }
    await subscribe({ maxBatchMessages: 50, maxInFlightMessages: 50 }, ackAll);
    await until(() => broker.settled.length === 50);
    expect(calls).toBe(1);
  });

  it('retries what a handler left without a verdict when it threw, and nothing else', async () => {
    const { broker, send, subscribe } = open();
    await send('a', 'b');
    await subscribe({ maxBatchMessages: 2 }, async ([first]) => {
      await first?.ack();
      throw new Error('broken');
    });
    await until(() => broker.settled.length >= 2);
    expect(broker.settled.slice(0, 2)).toMatchObject([
      { verdict: 'ack' },
      { verdict: 'retry', delayMs: 1_000, error: 'broken' },
    ]);
  });

  it('refuses a second verdict and one for a lost delivery, without asking the broker', async () => {
    const { broker, send, subscribe } = open();
    const received: DeliveredMessage[] = [];
    await send('a', 'b');
    await subscribe({}, (batch) => Promise.resolve(void received.push(...batch)));
    await until(() => received.length === 2);
    await received[0]?.ack();
    await expect(received[0]?.ack()).rejects.toMatchObject({ code: 'LEASE_LOST' });
    broker.expire([...broker.unsettled.keys()][0] ?? 0);
    await expect(received[1]?.ack()).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect(received[1]?.signal.aborted).toBe(true);
    expect(broker.settled).toHaveLength(1);
  });

  it('does not hand over what was lost while it waited for a free call', async () => {
    const { broker, send, subscribe } = open();
    const received: string[] = [];
    let release: () => void = () => undefined;
    await subscribe({ maxBatchMessages: 2, maxInFlightMessages: 3 }, async (batch) => {
      received.push(...batch.map(({ message }) => message.key ?? ''));
      if (received.length <= 2) await new Promise<void>((resolve) => (release = resolve));
    });
    await send('a', 'b', 'c');
    await until(() => received.length === 2);
    broker.expire(Math.max(...broker.unsettled.keys()));
    release();
    await new Promise((resolve) => setImmediate(resolve));
    expect(received).toEqual(['a', 'b']);
  });

  it('refuses options out of bounds', async () => {
    const { subscribe } = open();
    for (const options of [
      { maxBatchMessages: 0 },
      { maxBatchMessages: 10_001 },
      { maxInFlightMessages: 65_537 },
    ]) {
      await expect(subscribe(options, ackAll)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });

  it('answers a check-back for its group only, and leaves one unanswered that throws', async () => {
    const { broker, port } = open();
    await port.onCheckBack('one', () => Promise.resolve('commit'));
    await port.onCheckBack('two', () => Promise.reject(new Error('no database')));
    const { events } = broker.sessions[0] ?? {};
    events?.check('t1', [], 'one');
    events?.check('t2', [], 'two');
    events?.check('t3', [], 'three');
    await until(() => broker.decisions.length === 1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(broker.decisions).toEqual([['t1', 'commit']]);
  });

  it('keeps the leases of what waits and of what is handled, and lets go of what hangs', async () => {
    const { broker, send, subscribe } = open();
    const handled: string[] = [];
    await subscribe({ leaseMs: 30, maxInFlightMessages: 2, maxBatchMessages: 2 }, async (batch) => {
      handled.push(...batch.map(({ message }) => message.id));
      await new Promise(() => undefined);
    });
    await send('hangs');
    await until(() => handled.length === 1);
    await send('waits');
    const of = (verdict: string): number => broker.settled.filter((each) => each.verdict === verdict).length;
    await until(() => of('extend') >= 10);
    // What nobody began with goes back to the group; what hangs is left to its lease.
    await until(() => of('release') > 0);
    expect(of('extend')).toBeLessThanOrEqual(62);
    expect(broker.settled.every(({ verdict }) => verdict === 'extend' || verdict === 'release')).toBe(true);
  });

  it('leaves the lease to a handler that extends it itself', async () => {
    const { broker, send, subscribe } = open();
    let release: () => void = () => undefined;
    await subscribe({ leaseMs: 30 }, async (batch) => {
      await batch[0]!.extend(60_000);
      await new Promise<void>((resolve) => (release = resolve));
      await ackAll(batch);
    });
    await send('x');
    await until(() => broker.settled.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    release();
    await until(() => broker.settled.length === 2);
    expect(broker.settled.map(({ verdict }) => verdict)).toEqual(['extend', 'ack']);
  });

  it('stores sends in the order of their calls, also those behind one that was refused', async () => {
    const sandbox = await BrokerSandbox.make();
    const broker = await sandbox.open();
    await broker.createTopic('tight', { partitions: 1, maxMessages: 1 });
    await broker.createTopic('order', { partitions: 1 });
    const port = portOver((events) => broker.openSession('spec', events), { log, producer: {} });
    const message = (topic: string, text: string) => ({ topic, tag: 't', body: Buffer.from(text) });
    await port.send([message('tight', 'fills it')]);
    await port.send([message('order', '0')]);
    const offsets: Promise<number>[] = [];
    const refused: Promise<unknown>[] = [];
    for (let round = 0; round < 20; round++) {
      refused.push(port.send([message('tight', 'too much')]).catch((error: { code: string }) => error.code));
      offsets.push(port.send([message('order', 'first')]).then(([receipt]) => receipt!.offset));
      await new Promise((resolve) => setImmediate(resolve));
      offsets.push(port.send([message('order', 'then')]).then(([receipt]) => receipt!.offset));
    }
    const stored = await Promise.all(offsets);
    expect(stored).toEqual(stored.map((_, i) => i + 1));
    expect(new Set(await Promise.all(refused))).toEqual(new Set(['QUEUE_FULL']));
    await port.close();
    await sandbox.cleanUp();
  });
});
