import { expect } from '@jest/globals';
import { it } from './promise.js';
import { gathered, keep, range, textOf, until } from './stage.js';
import type { Stage } from './stage.js';

export function expirySection(stage: () => Stage): void {
  it('gives up a message whose time to live ran out before it was delivered', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const { messageId } = await stage().send(topic, 'stale', { ttlMs: 20 });
    await stage().send(topic, 'fresh', { ttlMs: 60_000 });
    const sentAtMs = Date.now();
    await until(() => Date.now() > sentAtMs + 40, 'the time to live to pass');
    const collector = await stage().collect(topic, { group });
    await gathered(collector, 1);
    await until(async () => (await stage().port.admin.deadLetters(group)).length === 1, 'the dead letter');
    expect(await stage().port.admin.deadLetters(group)).toMatchObject([
      { id: messageId, reason: 'ttl-expired' },
    ]);
    expect(collector.texts()).toEqual(['fresh']);
  });

  it.each([0, 0.4, -1, NaN, Infinity, 2 ** 32])('refuses a time to live of %p ms', async (ttlMs) => {
    const sent = stage().send(stage().topic(), 'x', { ttlMs });
    await expect(sent).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it.each([-1, 4.5, 10, 256, NaN, Infinity])('refuses a priority of %p', async (priority) => {
    const sent = stage().send(stage().topic(), 'x', { priority });
    await expect(sent).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  /** 90 of priority 0, then 10 of 9, over three partitions. */
  const lowThenHigh = async (): Promise<string> => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic, { partitions: 3 });
    for (const [count, priority] of [
      [90, 0],
      [10, 9],
    ] as const) {
      const texts = range(count).map((n) => `${priority} ${n}`);
      await stage().port.send(
        texts.map((text, n) => ({ topic, tag: 't', key: `${n}`, body: Buffer.from(text), priority })),
      );
    }
    return topic;
  };
  const highAmongFirst = (received: Parameters<typeof textOf>[0][], count: number): number =>
    received.slice(0, count).filter((delivery) => textOf(delivery).startsWith('9')).length;

  it('gives what waits by priority, strictly, whatever partition it is in', async () => {
    const collector = await stage().collect(await lowThenHigh(), { maxInFlightMessages: 1 });
    await gathered(collector, 100);
    expect(highAmongFirst(collector.received, 10)).toBe(10);
  });

  it('gives a newcomer of high priority before all that wait longer', async () => {
    const topic = stage().topic();
    await stage().sendAll(topic, ['0 first', '0 second', '0 third'], { priority: 0, key: 'k' });
    const collector = await stage().collect(topic, { maxInFlightMessages: 1 }, keep);
    await gathered(collector, 1);
    await stage().send(topic, '9 late', { priority: 9, key: 'other' });
    await collector.received[0]?.ack();
    await gathered(collector, 2);
    expect(collector.texts()).toEqual(['0 first', '9 late']);
  });

  it('starves no priority of a group that asks for shares by weight', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    for (const priority of [0, 9]) {
      const texts = range(50).map((n) => `${priority} ${n}`);
      await stage().sendAll(topic, texts, { priority });
    }
    const collector = await stage().collect(topic, { maxInFlightMessages: 1, priorities: 'weighted' });
    await gathered(collector, 100);
    const first = highAmongFirst(collector.received, 33);
    expect(first).toBeGreaterThanOrEqual(25);
    expect(first).toBeLessThan(33);
  });

  it('refuses shares by weight where the order is by key', async () => {
    const refused = stage().collect(stage().topic(), { order: 'by-key', priorities: 'weighted' });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
}
