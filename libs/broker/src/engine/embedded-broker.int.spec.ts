import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { DeliveredMessage, OutgoingMessage } from '#libs/messaging/port';
import { EmbeddedBroker } from './embedded-broker.js';

let dir: string;
let broker: EmbeddedBroker;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'broker-'));
  broker = await EmbeddedBroker.open({ dir });
});
afterEach(async () => {
  await broker.close();
  await rm(dir, { recursive: true, force: true });
});

const message = (text: string, more: Partial<OutgoingMessage> = {}): OutgoingMessage => ({
  topic: 'order',
  tag: 'paid',
  body: Buffer.from(text),
  ...more,
});
const text = ({ message: { body } }: DeliveredMessage): string => Buffer.from(body).toString();

async function until(condition: () => boolean | Promise<boolean>, what = 'the state'): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what} did not come`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** What others than its owner may do with the directory or a file below it. */
async function openToOthers(directory: string): Promise<string[]> {
  const names = ['', ...(await readdir(directory, { recursive: true }))];
  const open: string[] = [];
  for (const name of names) {
    if (((await stat(join(directory, name))).mode & 0o077) !== 0) open.push(name);
  }
  return open;
}

describe('EmbeddedBroker', () => {
  it('keeps its data for its owner alone, and closes what was left open', async () => {
    const umask = process.umask(0);
    try {
      const own = join(dir, 'deep', 'own');
      const other = await EmbeddedBroker.open({ dir: own });
      await other.connect('a').send([message('4711 is your code')]);
      expect(await openToOthers(join(dir, 'deep'))).toEqual([]);
      await other.close();
      for (const name of ['', 'journal']) await chmod(join(own, name), 0o755);
      for (const name of ['durable', '00000000000000000000.log'])
        await chmod(join(own, 'journal', name), 0o644);
      expect(await openToOthers(own)).toHaveLength(4);
      const again = await EmbeddedBroker.open({ dir: own });
      expect(await openToOthers(own)).toEqual([]);
      await again.close();
    } finally {
      process.umask(umask);
    }
  });

  it('delivers what was sent, and not again after a restart when it was acknowledged', async () => {
    const port = broker.connect('a');
    await port.send(['1', '2', '3'].map((body) => message(body, { key: body })));
    const got: string[] = [];
    await port.subscribe({ group: 'g', topics: [{ topic: 'order' }] }, async ([delivered]) => {
      got.push(text(delivered!));
      await delivered!.ack();
    });
    await until(() => got.length === 3);
    await port.close();
    await broker.close();
    broker = await EmbeddedBroker.open({ dir });
    const again = broker.connect('a');
    const later: string[] = [];
    await again.send([message('4')]);
    await again.subscribe({ group: 'g', topics: [{ topic: 'order' }] }, async ([delivered]) => {
      later.push(text(delivered!));
      await delivered!.ack();
    });
    await until(() => later.length > 0);
    expect(got.sort()).toEqual(['1', '2', '3']);
    expect(later).toEqual(['4']);
  });

  it('gives a failed message again with its history, then keeps it as a dead letter that can be redriven', async () => {
    const port = broker.connect('a');
    await port.send([message('x', { id: 'm1', key: 'k', headers: { a: 'b' } })]);
    const seen: { attempt: number; errors: string[]; topic: string; offset: number }[] = [];
    await port.subscribe({ group: 'g', topics: [{ topic: 'order' }] }, async ([delivered]) => {
      seen.push({
        attempt: delivered!.attempt,
        errors: delivered!.history.map(({ error }) => error),
        topic: delivered!.message.topic,
        offset: delivered!.message.offset,
      });
      if (seen.length < 3)
        await delivered!.retry({ delayMs: seen.length === 1 ? 0 : 20, error: `e${seen.length}` });
      else if (seen.length === 3)
        await delivered!.deadLetter({ reason: 'retries-exhausted', error: 'gave up' });
      else await delivered!.ack();
    });
    await until(async () => (await port.admin.deadLetters('g')).length === 1, 'the dead letter');
    const [letter] = await port.admin.deadLetters('g');
    expect(letter).toMatchObject({ id: 'm1', reason: 'retries-exhausted', error: 'gave up' });
    expect(letter!.message).toMatchObject({ topic: 'order', key: 'k', headers: { a: 'b' } });
    expect(await port.admin.redrive('g', 'm1')).toBe(true);
    expect(await port.admin.redrive('g', 'm1')).toBe(false);
    await until(() => seen.length === 4);
    expect(seen.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 1]);
    expect(seen[2]).toMatchObject({ errors: ['e1', 'e2'], topic: 'order', offset: 0 });
    await until(async () => (await port.admin.groups())[0]!.lag === 0, 'no lag');
  });

  it('delivers a delayed message when it is due, also after a restart, and not when it was recalled', async () => {
    const port = broker.connect('a');
    await port.send([message('later', { deliverAtMs: Date.now() + 200 })]);
    const inAnHour = Date.now() + 3_600_000;
    const [receipt] = await port.send([message('never', { deliverAtMs: inAnHour, timerId: 't' })]);
    expect(receipt).toMatchObject({ partition: -1, offset: -1 });
    expect(await port.recall('t')).toBe(true);
    expect(await port.recall('t')).toBe(true);
    expect(await port.recall('unknown')).toBe(false);
    await broker.close();
    broker = await EmbeddedBroker.open({ dir });
    const got: string[] = [];
    await broker.connect('a').subscribe({ group: 'g', topics: [{ topic: 'order' }] }, async ([delivered]) => {
      got.push(text(delivered!));
      await delivered!.ack();
    });
    await until(() => got.length > 0);
    await until(async () => (await broker.connect('b').admin.timers()).pending === 0);
    expect(got).toEqual(['later']);
  });

  it('shows half messages after the commit only, once', async () => {
    const port = broker.connect('a');
    const kept = await port.prepare('shop', [message('kept'), message('kept too')]);
    const dropped = await port.prepare('shop', [message('dropped')]);
    await dropped.rollback();
    await kept.commit();
    await kept.commit();
    await expect(kept.rollback()).rejects.toThrow('TRANSACTION_CONFLICT');
    const got: string[] = [];
    await port.subscribe({ group: 'g', topics: [{ topic: 'order' }] }, async ([delivered]) => {
      got.push(text(delivered!));
      await delivered!.ack();
    });
    await until(() => got.length === 2);
    expect(got.sort()).toEqual(['kept', 'kept too']);
    expect((await port.admin.transactions()).pending).toBe(0);
  });
});
