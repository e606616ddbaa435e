import { expect } from '@jest/globals';
import type { GroupInfo } from '../broker-admin.js';
import type { DeliveredMessage } from '../broker-port.js';
import { it } from './promise.js';
import { gathered, keep, range, textOf, until } from './stage.js';
import type { Stage } from './stage.js';

export function consumeSection(stage: () => Stage): void {
  const groupInfo = async (group: string): Promise<GroupInfo | undefined> =>
    (await stage().port.admin.groups()).find((info) => info.group === group);

  it('delivers in batches of at most the asked size', async () => {
    const topic = stage().topic();
    await stage().sendAll(topic, range(25).map(String));
    const collector = await stage().collect(topic, { maxBatchMessages: 10 });
    await gathered(collector, 25);
    expect(Math.max(...collector.batchSizes)).toBeLessThanOrEqual(10);
    expect(Math.max(...collector.batchSizes)).toBeGreaterThan(1);
    expect(new Set(collector.texts()).size).toBe(25);
  });

  it('has no more messages in flight at a member than it asked for', async () => {
    const topic = stage().topic();
    const group = stage().group();
    await stage().sendAll(topic, range(10).map(String));
    const collector = await stage().collect(topic, { group, maxInFlightMessages: 3 }, keep);
    await gathered(collector, 3);
    expect((await groupInfo(group))?.inFlight).toBe(3);
    expect(collector.received).toHaveLength(3);
    await collector.received[0]?.ack();
    await gathered(collector, 4);
    expect((await groupInfo(group))?.inFlight).toBe(3);
  });

  it('has no more bytes in flight at a member than it asked for', async () => {
    const topic = stage().topic();
    const group = stage().group();
    await stage().sendAll(
      topic,
      range(10).map(() => 'x'.repeat(1_000)),
    );
    const collector = await stage().collect(topic, { group, maxInFlightBytes: 3_000 }, keep);
    await gathered(collector, 3);
    expect((await groupInfo(group))?.inFlight).toBe(3);
    await collector.received[0]?.ack();
    await gathered(collector, 4);
    expect(collector.received).toHaveLength(4);
  });

  it('delivers a message that is larger than the bytes allowed in flight', async () => {
    const topic = stage().topic();
    await stage().send(topic, 'x'.repeat(5_000));
    const collector = await stage().collect(topic, { maxInFlightBytes: 1_000 });
    await gathered(collector, 1);
  });

  it('lets members take different tags while a version rolls out: what nobody there takes waits, over a kill too', async () => {
    const topic = stage().topic();
    const group = stage().group();
    const [older, newer] = [
      { group, topics: [{ topic, tags: ['known'] }] },
      { group, topics: [{ topic, tags: ['known', 'added'] }] },
    ];
    const [old, fresh] = [await stage().collect(topic, older), await stage().collect(topic, newer)];
    await stage().sendAll(topic, range(5).map(String), { tag: 'known' });
    await stage().sendAll(topic, ['a', 'b'], { tag: 'added' });
    await until(() => old.received.length + fresh.received.length === 7, 'every message once');
    expect(fresh.texts()).toEqual(expect.arrayContaining(['a', 'b']));
    await fresh.consumer.close();
    await stage().restart();
    const still = await stage().collect(topic, older);
    await stage().send(topic, 'c', { tag: 'added' });
    await stage().send(topic, 'd', { tag: 'known' });
    await gathered(still, 1);
    const again = await stage().collect(topic, newer);
    await gathered(again, 1);
    expect([...still.texts(), ...again.texts()]).toEqual(['d', 'c']);
  });

  it('filters by tag, and what was filtered out is not lag', async () => {
    const topic = stage().topic();
    const group = stage().group();
    await stage().sendAll(topic, ['no', 'no'], { tag: 'other' });
    await stage().sendAll(topic, ['yes'], { tag: 'wanted' });
    await stage().sendAll(topic, ['no'], { tag: 'other' });
    const collector = await stage().collect(topic, {
      group,
      topics: [{ topic, tags: ['wanted', 'unused'] }],
    });
    await gathered(collector, 1);
    await until(async () => (await groupInfo(group))?.lag === 0, 'no lag');
    expect(collector.texts()).toEqual(['yes']);
  });

  it('does not deliver again what was acknowledged', async () => {
    const topic = stage().topic();
    const group = stage().group();
    await stage().sendAll(topic, range(20).map(String));
    const first = await stage().collect(topic, { group });
    await gathered(first, 20);
    await first.consumer.close();
    const second = await stage().collect(topic, { group });
    await stage().send(topic, 'end');
    await gathered(second, 1);
    expect(second.texts()).toEqual(['end']);
  });

  it('gives a message anew when the lease runs out, and refuses the late verdict', async () => {
    const topic = stage().topic();
    const group = stage().group();
    const late = await stage().collect(topic, { group, leaseMs: 300 }, keep, stage().connect('late'));
    await stage().send(topic, 'a');
    await gathered(late, 1);
    const [first] = late.received;
    const signal = first?.signal;
    await gathered(late, 2);
    expect(late.received[1]).toMatchObject({ attempt: 2, history: [{ attempt: 1, isLost: true }] });
    expect(signal?.aborted).toBe(true);
    await expect(first?.ack()).rejects.toMatchObject({ code: 'LEASE_LOST' });
    await expect(first?.retry({ delayMs: 0, error: 'x' })).rejects.toMatchObject({ code: 'LEASE_LOST' });
  });

  it('keeps an extended lease while another one of the same length runs out', async () => {
    const topic = stage().topic();
    let extended: DeliveredMessage | undefined;
    const collector = await stage().collect(topic, { leaseMs: 400 }, async (delivery) => {
      // Where this came too late, the next one is extended.
      if (textOf(delivery) === 'extended')
        await delivery.extend(20_000).then(
          () => (extended = delivery),
          () => undefined,
        );
    });
    await stage().sendAll(topic, ['extended', 'not extended']);
    await until(() => extended !== undefined, 'the extension');
    const seen = collector.received.length;
    const others = () => collector.received.slice(seen).filter((each) => textOf(each) === 'not extended');
    await until(
      () => others().some(({ attempt }) => attempt > extended!.attempt),
      'the end of the other lease',
    );
    expect(extended?.signal.aborted).toBe(false);
    await extended?.ack();
  });

  it('keeps the lease of a delivery while its handler is at work, and of those that wait for it', async () => {
    const topic = stage().topic();
    const leaseMs = 600;
    const collector = await stage().collect(
      topic,
      { leaseMs, maxBatchMessages: 1, maxInFlightMessages: 1 },
      async (delivery) => {
        if (textOf(delivery) === 'slow') await new Promise((resolve) => setTimeout(resolve, 3 * leaseMs));
        await delivery.ack();
      },
    );
    await stage().send(topic, 'slow');
    await gathered(collector, 1);
    await stage().send(topic, 'next');
    await gathered(collector, 2);
    expect(collector.received.map(({ attempt }) => attempt)).toEqual([1, 1]);
  });

  it('takes one verdict for a delivery, no second one', async () => {
    const topic = stage().topic();
    const collector = await stage().collect(topic, {}, keep);
    await stage().send(topic, 'a');
    await gathered(collector, 1);
    await collector.received[0]?.ack();
    await expect(collector.received[0]?.ack()).rejects.toMatchObject({ code: 'LEASE_LOST' });
  });

  it('hands a message over at most once when asked to, whatever the handler does', async () => {
    const topic = stage().topic();
    const group = stage().group();
    const options = { group, guarantee: 'at-most-once' } as const;
    const collector = await stage().collect(topic, options, () => Promise.reject(new Error('failed')));
    await stage().sendAll(topic, ['a', 'b']);
    await gathered(collector, 2);
    await collector.consumer.close();
    const later = await stage().collect(topic, options, keep);
    await stage().send(topic, 'end');
    await gathered(later, 1);
    expect(later.texts()).toEqual(['end']);
  });

  it('waits for running handlers when a consumer is closed', async () => {
    const topic = stage().topic();
    const group = stage().group();
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const collector = await stage().collect(topic, { group }, (delivery) =>
      released.then(() => delivery.ack()),
    );
    await stage().send(topic, 'a');
    await gathered(collector, 1);
    const closed = collector.consumer.close(5_000);
    release();
    await closed;
    await until(async () => (await groupInfo(group))?.lag === 0, 'the ack of the drained handler');
  });
}
