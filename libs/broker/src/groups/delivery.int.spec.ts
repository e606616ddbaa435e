import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { DeadLetter, GroupInfo } from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import type { JournalFile } from '../journal/files.js';
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
import { tagHashOf } from '../topics/text-hash.js';

/** A disk that takes its time to write. */
class SlowFiles extends MemoryFiles {
  delayMs = 0;

  override async open(path: string, mode: 'create' | 'read-write' | 'read'): Promise<JournalFile> {
    const file = await super.open(path, mode);
    return {
      ...file,
      writev: async (buffers, position) => {
        await new Promise((resolve) => setTimeout(resolve, this.delayMs));
        return file.writev(buffers, position);
      },
    };
  }
}

const clock = new ManualClock();
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  // In memory, so that a few turns of the event loop are enough for whatever is written and read.
  sandbox = await BrokerSandbox.make({ clock, files: new MemoryFiles() });
  broker = await sandbox.open();
  await broker.createTopic('t', { partitions: 1 });
  client = new EngineClient(broker);
});
afterEach(() => sandbox.cleanUp());

const send = (...texts: string[]) => client.session.append(texts.map((text) => message(text)));
const groupInfo = async (name = 'g'): Promise<GroupInfo> => {
  const groups = (await client.session.admin({ method: 'groups', args: [] })) as GroupInfo[];
  return groups.find(({ group }) => group === name)!;
};
/** Moves the time and lets what is due happen. */
const pass = async (ms: number): Promise<void> => {
  clock.advance(ms);
  broker.tick();
  await settled();
};

describe('delivery', () => {
  it('gives every group each message, and the members of a group share them', async () => {
    const other = new EngineClient(broker, 'other');
    const third = new EngineClient(broker, 'third');
    await client.attach();
    await other.attach();
    await third.attach({ group: 'h' });
    await send('1', '2', '3', '4');
    await until(() => client.delivered.length + other.delivered.length === 4 && third.delivered.length === 4);
    expect([...client.texts, ...other.texts].sort()).toEqual(['1', '2', '3', '4']);
    expect(client.delivered.length).toBe(2);
    expect(third.texts).toEqual(['1', '2', '3', '4']);
  });

  it('never gives a delivery id twice, even to a consumer that has the id of one that left', async () => {
    const first = await client.attach();
    await send('1');
    const old = await client.take();
    await client.session.detach(first);
    let id = await client.attach();
    while (id !== first) {
      await client.session.detach(id);
      id = await client.attach();
    }
    await until(() => client.texts.includes('1'));
    expect(client.delivered.map(({ deliveryId }) => deliveryId)).not.toContain(old.deliveryId);
    expect(await client.ack(old)).toBe(false);
  });

  it('delivers no more than the member may have unsettled, in messages and in bytes', async () => {
    await client.attach({ maxInFlightMessages: 2 });
    await client.attach({ group: 'h', maxInFlightBytes: 5 });
    await send('aaa', 'bbb', 'ccc', 'ddd');
    await until(() => client.delivered.length >= 4);
    await settled();
    expect(client.texts.sort()).toEqual(['aaa', 'aaa', 'bbb', 'bbb']);
    for (const delivery of client.delivered.splice(0)) await client.ack(delivery);
    await until(() => client.delivered.length === 4);
  });

  it('refuses an ack after the lease was lost, and gives the message to somebody else with the attempt counted', async () => {
    await client.attach({ leaseMs: 1_000 });
    await send('x');
    const first = await client.take();
    await pass(1_001);
    expect(client.lost).toEqual([first.deliveryId]);
    expect(await client.ack(first)).toBe(false);
    const second = await client.take();
    expect(second).toMatchObject({ attempt: 2, history: [{ attempt: 1, consumer: 'client' }] });
    expect(await client.ack(second)).toBe(true);
    expect(await client.ack(second)).toBe(false);
  });

  it('keeps a lease that was extended, while others run out', async () => {
    await client.attach({ leaseMs: 1_000 });
    await send('long', 'short');
    const long = await client.take();
    await client.take();
    await client.session.settle([{ deliveryId: long.deliveryId, verdict: 'extend', leaseMs: 10_000 }]);
    await pass(1_001);
    expect((await client.take()).message.body.toString()).toBe('short');
    expect(client.lost).not.toContain(long.deliveryId);
    expect(await client.ack(long)).toBe(true);
  });

  it('gives what a member had to the others at once when it leaves', async () => {
    const leaver = new EngineClient(broker, 'leaver');
    await leaver.attach();
    await send('x');
    const had = await leaver.take();
    await client.attach();
    await leaver.session.close();
    expect(await client.take()).toMatchObject({ attempt: 2, message: { id: had.message.id } });
  });

  it('counts no try when a member leaves in good order, and one when it is lost', async () => {
    const first = await client.attach();
    await send('x');
    await client.take();
    await client.session.detach(first);
    await client.attach();
    expect(await client.take()).toMatchObject({ attempt: 1, history: [] });
    await client.session.close();
    client = new EngineClient(broker);
    await client.attach();
    expect(await client.take()).toMatchObject({ attempt: 2, history: [{ attempt: 1, isLost: true }] });
  });

  it('gives back what its member did not begin with, uncounted', async () => {
    await client.attach();
    await send('x');
    const { deliveryId } = await client.take();
    expect(await client.session.settle([{ deliveryId, verdict: 'release' }])).toEqual([true]);
    const again = await client.take();
    expect(again).toMatchObject({ attempt: 1, history: [] });
    expect(again.deliveryId).not.toBe(deliveryId);
    expect(await client.session.settle([{ deliveryId, verdict: 'ack' }])).toEqual([false]);
  });

  it('goes on with a partition when an at-most-once delivery that filled its member is given up', async () => {
    await client.attach({ guarantee: 'at-most-once', maxInFlightMessages: 1, leaseMs: 1_000 });
    await send('hangs', 'next');
    expect(textOf(await client.take())).toBe('hangs');
    await pass(1_001);
    expect(textOf(await client.take())).toBe('next');
  });

  it('tries alone what was twice with a member that was lost, so that its neighbours live', async () => {
    const texts = Array.from({ length: 20 }, (_, i) => String(i));
    await send(...texts);
    const acked: string[] = [];
    let mostBesideSuspect = 0;
    let deaths = 0;
    // A process that dies of message 7, whatever else it has then.
    for (let alive = false; acked.length < 19;) {
      if (!alive) {
        await client.session.close();
        // For a while there is no member at all.
        await settled(2);
        client = new EngineClient(broker);
        await client.attach({ maxInFlightMessages: 10 });
      }
      await until(() => client.delivered.length > 0, `more than ${acked.length} messages, ${deaths} deaths`);
      const batch = client.delivered.splice(0);
      if (batch.some(({ attempt }) => attempt > 2))
        mostBesideSuspect = Math.max(mostBesideSuspect, batch.length);
      alive = !batch.some((delivery) => textOf(delivery) === '7');
      if (!alive) deaths += 1;
      for (const delivery of alive ? batch : []) {
        await client.ack(delivery);
        acked.push(textOf(delivery));
      }
    }
    expect(mostBesideSuspect).toBe(1);
    expect(acked.sort()).toEqual(texts.filter((text) => text !== '7').sort());
    expect(deaths).toBeGreaterThanOrEqual(3);
    // It comes back after a while, alone again; then all is as ever.
    await pass(60_000);
    const suspect = await client.take();
    expect(suspect).toMatchObject({ attempt: deaths + 1 });
    await send('new');
    await settled();
    expect(client.delivered).toEqual([]);
    await client.ack(suspect);
    expect(textOf(await client.take())).toBe('new');
  });

  it('knows after the death of its own process what was under way, and tries the suspect alone', async () => {
    let files = new MemoryFiles();
    client = new EngineClient(await sandbox.reopen({ files }));
    await send(...Array.from({ length: 12 }, (_, i) => String(i)));
    const seen: { batch: number; attempt: number }[] = [];
    const acked: string[] = [];
    for (let run = 0; run < 8; run++) {
      clock.advance(60_000);
      files = files.kill();
      broker = await sandbox.reopen({ files });
      client = new EngineClient(broker);
      await client.attach({ maxInFlightMessages: 10 });
      // Consumer and broker die as soon as message 7 is handed over.
      for (let alive = true; alive;) {
        await pass(1);
        const batch = client.delivered.splice(0);
        const poison = batch.find((delivery) => textOf(delivery) === '7');
        if (poison) seen.push({ batch: batch.length, attempt: poison.attempt });
        alive = poison === undefined;
        for (const delivery of alive ? batch : []) {
          await client.ack(delivery);
          acked.push(textOf(delivery));
        }
      }
    }
    expect(acked).toEqual(expect.arrayContaining(['0', '1', '2', '3', '4', '5', '6', '8', '9']));
    expect(new Set(acked).size).toBe(acked.length);
    expect(seen.map(({ attempt }) => attempt)).toEqual([1, 1, 2, 3, 4, 5, 6, 7]);
    expect(seen.slice(3).every(({ batch }) => batch === 1)).toBe(true);
  });

  it('keeps leases over a step of the wall clock', async () => {
    let monotonicMs = 0;
    broker = await sandbox.reopen({ clock: { now: () => clock.now(), monotonicMs: () => monotonicMs } });
    client = new EngineClient(broker);
    await client.attach({ leaseMs: 1_000 });
    await send('x');
    const delivery = await client.take();
    await pass(3_600_000);
    expect(client.lost).toEqual([]);
    monotonicMs += 1_001;
    await pass(-3_600_000);
    expect(client.lost).toEqual([delivery.deliveryId]);
  });

  it('gives a handler in this process a message of its own: what it writes reaches no other group and no retry', async () => {
    await client.attach();
    await client.attach({ group: 'h' });
    await client.session.append([message('secret', { headers: { name: 'value' } })]);
    await until(() => client.delivered.length === 2);
    const [first, second] = client.delivered.splice(0);
    first!.message.body.fill(48);
    (first!.message.headers as Record<string, string>)['name'] = 'changed';
    expect(textOf(second!)).toBe('secret');
    expect(second!.message.headers).toEqual({ name: 'value' });
    await client.retry(first!);
    const again = await client.take();
    expect(again).toMatchObject({ attempt: 2, message: { headers: { name: 'value' } } });
    expect(textOf(again)).toBe('secret');
    again.message.body.fill(48);
    const { deliveryId } = again;
    await client.session.settle([{ deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'no' }]);
    const [letter] = (await client.session.admin({ method: 'deadLetters', args: ['g'] })) as DeadLetter[];
    expect(Buffer.from(letter!.message.body).toString()).toBe('secret');
  });

  it('hands over nothing more once the journal has failed: nobody could settle it', async () => {
    const files = new MemoryFiles();
    broker = await sandbox.reopen({ files });
    client = new EngineClient(broker);
    await client.attach();
    await send('given');
    await client.take();
    const other = new EngineClient(broker, 'other');
    await other.attach();
    files.failAt(files.calls + 1, 'EIO', true);
    await expect(send('more')).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    await client.session.close();
    await settled();
    expect(other.texts).toEqual([]);
  });

  it('takes no other tag that happens to have the same hash', async () => {
    const [wanted, other] = ['tag-179599', 'tag-362382'];
    expect(tagHashOf(wanted)).toBe(tagHashOf(other));
    await client.attach({ topics: [{ topic: 't', tags: [wanted] }] });
    await client.session.append([message('1', { tag: other }), message('2', { tag: wanted })]);
    expect(textOf(await client.take())).toBe('2');
    await settled();
    expect(client.delivered).toEqual([]);
  });

  it('takes only the tags asked for, and leaves no lag behind for the others', async () => {
    await client.attach({ topics: [{ topic: 't', tags: ['b'] }] });
    await client.session.append([message('1'), message('2', { tag: 'b' }), message('3', { tag: 'c' })]);
    const delivery = await client.take();
    expect(textOf(delivery)).toBe('2');
    await client.ack(delivery);
    expect(await groupInfo()).toMatchObject({ lag: 0, inFlight: 0, acked: 1 });
  });

  it('commits the lowest unsettled offset, and forgets no later ack over a restart', async () => {
    await client.attach();
    await send('0', '1', '2', '3');
    await until(() => client.delivered.length === 4);
    await client.ack(client.delivered[1]!);
    await client.ack(client.delivered[3]!);
    expect((await groupInfo()).positions).toEqual([
      { topic: 't', partition: 0, committedOffset: 0, endOffset: 4 },
    ]);
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    await client.attach();
    await until(() => client.delivered.length === 2);
    await settled();
    expect(client.texts).toEqual(['0', '2']);
  });

  it('starts a new group at the latest message when it asks for that, also after a restart', async () => {
    await send('old');
    await client.attach({ startAt: 'latest' });
    await client.session.close();
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    await send('new');
    await client.attach({ startAt: 'latest' });
    await until(() => client.delivered.length > 0);
    expect(client.texts).toEqual(['new']);
  });

  it('hands a broadcast to every member from when it joined, and keeps nothing of it', async () => {
    const other = new EngineClient(broker, 'other');
    await send('before');
    await client.attach({ mode: 'broadcast' });
    await other.attach({ mode: 'broadcast' });
    await send('after');
    const delivery = await client.take();
    expect(textOf(delivery)).toBe('after');
    expect(textOf(await other.take())).toBe('after');
    expect(await client.retry(delivery)).toBe(true);
    await settled();
    expect(client.delivered).toEqual([]);
    await client.session.close();
    await other.session.close();
    client = new EngineClient(broker);
    expect(await groupInfo()).toBeUndefined();
  });

  it('answers a pull with what is there, waits for the first, and gives up in time', async () => {
    const id = await client.attach({}, 'pull');
    expect(await client.session.pull(id, 10, 0)).toEqual([]);
    const waiting = client.session.pull(id, 10, 5_000);
    await send('1', '2', '3');
    const first = await waiting;
    const rest = await client.session.pull(id, 10, 20);
    expect([...first, ...rest].map(textOf)).toEqual(['1', '2', '3']);
    expect(client.delivered).toEqual([]);
  });

  it('hands an at-most-once message over only after it counts as settled', async () => {
    await client.attach({ guarantee: 'at-most-once' });
    await send('x');
    await client.take();
    broker = await sandbox.reopen();
    client = new EngineClient(broker);
    await client.attach();
    await send('y');
    expect(textOf(await client.take())).toBe('y');
  });

  it('hands no at-most-once message over a second time, be the broker killed then or the power cut', async () => {
    const files = new MemoryFiles();
    broker = await sandbox.reopen({ files });
    const survivors: MemoryFiles[] = [];
    const atOnce = new EngineClient(broker);
    atOnce.deliveries = () => void survivors.push(files.kill(), files.crash());
    await atOnce.attach({ guarantee: 'at-most-once' });
    await atOnce.session.append([message('x')]);
    await until(() => survivors.length > 0);
    for (const after of survivors) {
      client = new EngineClient(await sandbox.reopen({ files: after }));
      await client.attach();
      await send('y');
      expect(textOf(await client.take())).toBe('y');
    }
  });

  it('loses no at-most-once message to a pull that waits no longer than it takes to settle it', async () => {
    const files = new SlowFiles();
    client = new EngineClient(await sandbox.reopen({ files }));
    const id = await client.attach({ guarantee: 'at-most-once' }, 'pull');
    await send('x');
    files.delayMs = 30;
    expect((await client.session.pull(id, 1, 0)).map(textOf)).toEqual(['x']);
  });

  it('dead-letters what outlived its time to live, undelivered', async () => {
    await client.session.append([message('old', { ttlMs: 50, id: 'm' }), message('fresh')]);
    clock.advance(60);
    await client.attach();
    expect(textOf(await client.take())).toBe('fresh');
    await settled();
    expect(client.delivered).toEqual([]);
    const letters = await client.session.admin({ method: 'deadLetters', args: ['g'] });
    expect(letters).toMatchObject([{ id: 'm', reason: 'ttl-expired', attempts: [] }]);
  });

  it('replays from an offset, a time, the start or the end, and takes deliveries in flight away', async () => {
    await send('0');
    clock.advance(1_000);
    const between = clock.now();
    await send('1', '2');
    await client.attach();
    await until(() => client.delivered.length === 3);
    const reset = (to: unknown) => client.session.admin({ method: 'resetGroup', args: ['g', to] });
    const had = client.delivered.splice(0);
    await reset('latest');
    expect(client.lost.sort()).toEqual(had.map(({ deliveryId }) => deliveryId).sort());
    await settled();
    expect(client.delivered).toEqual([]);
    await reset({ timestampMs: between });
    await until(() => client.delivered.length === 2);
    expect(client.texts).toEqual(['1', '2']);
    client.delivered.length = 0;
    await reset({ partition: 0, offset: 2 });
    expect(textOf(await client.take())).toBe('2');
    await reset('earliest');
    await until(() => client.delivered.length === 3);
  });

  it('refuses a member that asks for another order than the others', async () => {
    await client.attach();
    await expect(client.attach({ order: 'by-key' })).rejects.toThrow('INVALID_ARGUMENT');
  });
});
