import { expect, it } from '@jest/globals';
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
