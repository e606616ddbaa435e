import { expect, it } from '@jest/globals';
import { gathered, range, textOf, until } from './stage.js';
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

  it('prefers a message of high priority among those that wait', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    await stage().sendAll(
      topic,
      range(50).map((n) => `low ${n}`),
      { priority: 0 },
    );
    await stage().send(topic, 'high', { priority: 9 });
    const collector = await stage().collect(topic, { maxInFlightMessages: 1 });
    await gathered(collector, 51);
    expect(collector.received.findIndex((delivery) => textOf(delivery) === 'high')).toBeLessThan(40);
  });
}
