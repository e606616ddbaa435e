import { expect } from '@jest/globals';
import { it } from './promise.js';
import { ack, range, textOf } from './stage.js';
import type { Stage } from './stage.js';

export function pullSection(stage: () => Stage): void {
  it('gives what is there, up to the asked number, and then the rest', async () => {
    const topic = stage().topic();
    const subscription = { group: stage().group(), topics: [{ topic }] };
    await stage().sendAll(topic, range(10).map(String));
    const seen: string[] = [];
    while (seen.length < 10) {
      const pulled = await stage().port.pull(subscription, { maxMessages: 4, waitMs: 5_000 });
      expect(pulled.length).toBeGreaterThan(0);
      expect(pulled.length).toBeLessThanOrEqual(4);
      seen.push(...pulled.map(textOf));
      await Promise.all(pulled.map(ack));
    }
    expect(seen.sort()).toEqual(range(10).map(String).sort());
  });

  it('answers with nothing when nothing comes in time', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic);
    const subscription = { group: stage().group(), topics: [{ topic }] };
    expect(await stage().port.pull(subscription, { maxMessages: 4, waitMs: 30 })).toEqual([]);
  });

  it('waits for the first message', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic);
    const subscription = { group: stage().group(), topics: [{ topic }] };
    const pulled = stage().port.pull(subscription, { maxMessages: 4, waitMs: 10_000 });
    await stage().send(topic, 'a');
    const [delivery] = await pulled;
    expect(delivery && textOf(delivery)).toBe('a');
    await delivery?.ack();
  });

  it('gives a pulled message with a verdict of retry again', async () => {
    const topic = stage().topic();
    const subscription = { group: stage().group(), topics: [{ topic }] };
    await stage().send(topic, 'a');
    const [first] = await stage().port.pull(subscription, { maxMessages: 1, waitMs: 5_000 });
    await first?.retry({ delayMs: 0, error: 'not now' });
    const [second] = await stage().port.pull(subscription, { maxMessages: 1, waitMs: 5_000 });
    expect(second).toMatchObject({ attempt: 2, history: [{ attempt: 1, error: 'not now' }] });
    await second?.ack();
  });
}
