import { expect } from '@jest/globals';
import { it } from './promise.js';
import { gathered, keep, range, until } from './stage.js';
import type { Stage } from './stage.js';

export function replaySection(stage: () => Stage): void {
  it('delivers everything again after a reset to the earliest', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const collector = await stage().collect(topic, { group });
    await stage().sendAll(topic, range(10).map(String));
    await gathered(collector, 10);
    await stage().port.admin.resetGroup(group, 'earliest');
    await gathered(collector, 20);
    expect(collector.texts().slice(10).sort()).toEqual(range(10).map(String).sort());
    expect(collector.received.slice(10).every(({ attempt }) => attempt === 1)).toBe(true);
  });

  it('skips what is there after a reset to the latest', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const first = await stage().collect(topic, { group }, keep);
    await stage().sendAll(topic, range(10).map(String));
    await gathered(first, 1);
    await first.consumer.close(0);
    await stage().port.admin.resetGroup(group, 'latest');
    const second = await stage().collect(topic, { group });
    await stage().send(topic, 'new');
    await gathered(second, 1);
    expect(second.texts()).toEqual(['new']);
  });

  it('goes to an offset of one partition, and to a time', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    const collector = await stage().collect(topic, { group, maxInFlightMessages: 1 });
    await stage().sendAll(topic, ['0', '1', '2']);
    await until(
      () => Date.now() > Math.max(...collector.received.map(({ message }) => message.storedAtMs), 0) + 5,
      'time',
    );
    await gathered(collector, 3);
    const betweenMs = Date.now();
    await until(() => Date.now() > betweenMs + 5, 'time');
    await stage().sendAll(topic, ['3', '4']);
    await gathered(collector, 5);
    await stage().port.admin.resetGroup(group, { partition: 0, offset: 2 });
    await gathered(collector, 8);
    expect(collector.texts().slice(5)).toEqual(['2', '3', '4']);
    await stage().port.admin.resetGroup(group, { timestampMs: betweenMs });
    await gathered(collector, 10);
    expect(collector.texts().slice(8)).toEqual(['3', '4']);
  });

  it('starts a new group at a time, wherever its topics have been by then, and for good', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    await stage().port.admin.createTopic(topic, { partitions: 2 });
    const send = (texts: readonly string[]) =>
      stage().port.send(texts.map((text) => ({ topic, tag: 't', key: text, body: Buffer.from(text) })));
    const storedBefore = async (): Promise<number> => {
      const read = [0, 1].map((partition) => stage().port.admin.read(topic, partition, 0, 100));
      return Math.max(...(await Promise.all(read)).flat().map(({ storedAtMs }) => storedAtMs));
    };
    await send(range(10).map((n) => `old ${n}`));
    const timestampMs = (await storedBefore()) + 3;
    await until(() => Date.now() > timestampMs + 3, 'time');
    await send(range(10).map((n) => `new ${n}`));
    const first = await stage().collect(topic, { group, startAt: { timestampMs } });
    await gathered(first, 10);
    expect(first.texts().sort()).toEqual(range(10).map((n) => `new ${n}`));
    await first.consumer.close();
    await stage().restart();
    // It has its place now, whatever it asks for.
    const second = await stage().collect(topic, { group, startAt: { timestampMs: 0 } });
    await send(['newest']);
    await gathered(second, 1);
    expect(second.texts()).toEqual(['newest']);
  });

  it.each([NaN, -1, 1e16])('refuses to start a group at the time %p', async (timestampMs) => {
    const refused = stage().collect(stage().topic(), { startAt: { timestampMs } });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('takes the lease from deliveries in flight', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const collector = await stage().collect(topic, { group }, keep);
    await stage().send(topic, 'a');
    await gathered(collector, 1);
    await stage().port.admin.resetGroup(group, 'earliest');
    await expect(collector.received[0]?.ack()).rejects.toMatchObject({ code: 'LEASE_LOST' });
    await gathered(collector, 2);
    await collector.received[1]?.ack();
  });

  it('refuses to reset a group that does not exist', async () => {
    await expect(stage().port.admin.resetGroup(stage().group(), 'earliest')).rejects.toMatchObject({
      code: 'UNKNOWN_GROUP',
    });
  });
}
