import { expect, it } from '@jest/globals';
import type { GroupInfo } from '../broker-port.js';
import { gathered, keep, range, until } from './stage.js';
import type { Stage } from './stage.js';

export function adminSection(stage: () => Stage): void {
  const groupInfo = async (group: string): Promise<GroupInfo | undefined> =>
    (await stage().port.admin.groups()).find((info) => info.group === group);

  it('creates a topic once and describes it', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic, { partitions: 3 });
    await stage().port.admin.createTopic(topic, { partitions: 3 });
    await stage().sendAll(topic, ['a', 'b'], { key: 'k' });
    const info = (await stage().port.admin.topics()).find((each) => each.topic === topic);
    expect(info?.partitions.map(({ partition }) => partition)).toEqual([0, 1, 2]);
    expect(info?.partitions.map(({ endOffset }) => endOffset).sort()).toEqual([0, 0, 2]);
  });

  it('gives a topic that is sent to before four partitions', async () => {
    const topic = stage().topic();
    await stage().send(topic, 'a');
    const info = (await stage().port.admin.topics()).find((each) => each.topic === topic);
    expect(info?.partitions).toHaveLength(4);
  });

  it('counts lag, flight, members and positions of a group', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    const collector = await stage().collect(
      topic,
      { group, maxInFlightMessages: 4 },
      keep,
      stage().connect('member'),
    );
    await stage().sendAll(topic, range(10).map(String));
    await gathered(collector, 4);
    expect(await groupInfo(group)).toMatchObject({
      group,
      mode: 'shared',
      lag: 10,
      inFlight: 4,
      retrying: 0,
      deadLetters: 0,
    });
    expect((await groupInfo(group))?.members).toMatchObject([{ client: 'member', inFlight: 4 }]);
    await collector.received[0]?.ack();
    await until(async () => (await groupInfo(group))?.lag === 9, 'the ack to count');
    expect((await groupInfo(group))?.acked).toBe(1);
    const position = (await groupInfo(group))?.positions.find((each) => each.topic === topic);
    expect(position).toMatchObject({ partition: 0, committedOffset: 1, endOffset: 10 });
    await collector.consumer.close(0);
    expect((await groupInfo(group))?.members).toEqual([]);
  });

  it('reads without consuming', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    await stage().sendAll(topic, range(5).map(String), { headers: { h: 'v' } });
    const read = await stage().port.admin.read(topic, 0, 1, 3);
    expect(read.map(({ offset, body }) => [offset, Buffer.from(body).toString()])).toEqual([
      [1, '1'],
      [2, '2'],
      [3, '3'],
    ]);
    expect(read[0]).toMatchObject({ topic, tag: 'sent', key: undefined, headers: { h: 'v' } });
    expect(await stage().port.admin.read(topic, 0, 5, 3)).toEqual([]);
  });

  it('refuses to read a topic that does not exist', async () => {
    await expect(stage().port.admin.read(stage().topic(), 0, 0, 1)).rejects.toMatchObject({
      code: 'UNKNOWN_TOPIC',
    });
  });

  it('is ready', async () => {
    await stage().port.ready(5_000);
  });
}
