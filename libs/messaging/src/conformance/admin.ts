import { expect } from '@jest/globals';
import type { GroupInfo, TopicInfo } from '../broker-admin.js';
import { it } from './promise.js';
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
    // A member of another process tells what it has in flight a moment later.
    await until(async () => (await groupInfo(group))?.inFlight === 4, 'the flight');
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

  it('tells topics and groups page by page, each place once', async () => {
    const [group, ...topics] = [stage().group(), stage().topic(), stage().topic(), stage().topic()];
    const { admin } = stage().port;
    for (const topic of topics) await admin.createTopic(topic, { partitions: 3 });
    await stage().collect('', { group, topics: topics.map((topic) => ({ topic })) });
    const all = { topics: await admin.topics(), groups: await admin.groups() };
    const found: TopicInfo[] = [];
    for (
      let page = await admin.topicsPage({ limit: 4 });
      ;
      page = await admin.topicsPage({ limit: 4, after: page.next ?? '' })
    ) {
      expect(page.items.length).toBeGreaterThan(0);
      expect(page.items.flatMap(({ partitions }) => partitions).length).toBeLessThanOrEqual(4);
      found.push(...page.items);
      if (page.next === undefined) break;
    }
    expect(found).toEqual(all.topics);
    const positions: string[] = [];
    for (
      let page = await admin.groupsPage({ limit: 4 });
      ;
      page = await admin.groupsPage({ limit: 4, after: page.next ?? '' })
    ) {
      expect(page.items.flatMap((info) => info.positions).length).toBeLessThanOrEqual(4);
      for (const info of page.items)
        for (const { topic, partition } of info.positions)
          positions.push(`${info.group} ${topic} ${partition}`);
      if (page.next === undefined) break;
    }
    expect(positions).toEqual(
      all.groups.flatMap((info) =>
        info.positions.map(({ topic, partition }) => `${info.group} ${topic} ${partition}`),
      ),
    );
    expect(positions.filter((place) => place.startsWith(`${group} `))).toHaveLength(9);
    await expect(admin.groupsPage({ after: 'nonsense' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(admin.topicsPage({ limit: 0 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
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

  it('reads and lists more than one answer can hold, page by page', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    const body = Buffer.alloc(1024 * 1024, 'x');
    for (const n of range(8)) await stage().port.send([{ topic, tag: 't', key: `${n}`, body }]);
    await stage().collect(topic, { group }, (delivery) =>
      delivery.deadLetter({ reason: 'rejected', error: 'no' }),
    );
    const { admin } = stage().port;
    const offsets: number[] = [];
    for (let page = await admin.read(topic, 0, 0, 100); page.length > 0;) {
      expect(page.length).toBeLessThan(8);
      offsets.push(...page.map(({ offset }) => offset));
      page = await admin.read(topic, 0, (page.at(-1)?.offset ?? 0) + 1, 100);
    }
    expect(offsets).toEqual(range(8));
    await until(async () => (await groupInfo(group))?.deadLetters === 8, 'the dead letters');
    const keys: unknown[] = [];
    for (let page = await admin.deadLetters(group); page.length > 0;) {
      expect(page.length).toBeLessThan(8);
      keys.push(...page.map(({ message }) => message.key));
      page = await admin.deadLetters(group, { afterOffset: page.at(-1)?.offset ?? 0 });
    }
    expect(keys.sort()).toEqual(range(8).map(String));
  });

  it('tells who did what, also after a crash', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    await stage().collect(topic, { group }, (delivery) =>
      delivery.deadLetter({ reason: 'rejected', error: 'no' }),
    );
    await stage().sendAll(topic, ['a', 'b', 'c']);
    await until(async () => (await groupInfo(group))?.deadLetters === 3, 'the dead letters');
    const [first] = await stage().port.admin.deadLetters(group);
    const { admin } = stage().connect('operator');
    await admin.discard(group, first?.id ?? '');
    await admin.redriveAll(group);
    await admin.resetGroup(group, 'latest');
    const half = await stage().port.prepare(group, [{ topic, tag: 't', body: Buffer.from('half') }]);
    await admin.decideTransaction(half.transactionId, 'rollback');
    const expected = [
      { by: 'operator', action: 'discard', group, subject: first?.id, count: 1 },
      { by: 'operator', action: 'redrive-all', group, count: 2 },
      { by: 'operator', action: 'reset-group', group, count: 1 },
      { by: 'operator', action: 'decide-transaction', count: 1 },
    ];
    expect((await admin.audit()).slice(-4)).toMatchObject(expected);
    await stage().restart();
    expect((await stage().port.admin.audit()).slice(-4)).toMatchObject(expected);
    expect(await stage().port.admin.audit({ group, limit: 2 })).toMatchObject(expected.slice(1, 3));
  });

  it('deletes a group that nobody runs any more, which kept a bounded topic full, for good', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const { admin } = stage().connect('operator');
    await admin.createTopic(topic, { partitions: 1, maxMessages: 3 });
    const collector = await stage().collect(topic, { group, maxInFlightMessages: 2 }, (delivery) =>
      delivery.attempt === 1 && delivery.message.offset === 0
        ? delivery.deadLetter({ reason: 'rejected', error: 'no' })
        : delivery.retry({ delayMs: 60_000, error: 'later' }),
    );
    await stage().sendAll(topic, ['0', '1']);
    await until(async () => (await groupInfo(group))?.retrying === 1, 'the retry');
    await expect(admin.deleteGroup(group)).rejects.toMatchObject({ code: 'IN_USE', kind: 'conflict' });
    await collector.consumer.close(0);
    await stage().sendAll(topic, ['2', '3', '4']);
    await expect(stage().send(topic, '5')).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    await admin.deleteGroup(group);
    const expectGone = async (): Promise<void> => {
      expect(await groupInfo(group)).toBeUndefined();
      expect(await stage().port.admin.deadLetters(group)).toEqual([]);
      await expect(stage().port.admin.deleteGroup(group)).rejects.toMatchObject({ code: 'UNKNOWN_GROUP' });
      const acts = await stage().port.admin.audit({ group });
      expect(acts.at(-1)).toMatchObject({ by: 'operator', action: 'delete-group', group, count: 1 });
    };
    await expectGone();
    await stage().restart();
    await expectGone();
    const reader = await stage().collect(topic, { group });
    await gathered(reader, 5);
    await stage().send(topic, '5');
    await gathered(reader, 6);
    expect(reader.received.every(({ attempt }) => attempt === 1)).toBe(true);
    expect(await groupInfo(group)).toMatchObject({ deadLetters: 0, retrying: 0 });
  });

  it('deletes a topic that nobody reads with all that is in it, for good', async () => {
    const [topic, other, group] = [stage().topic(), stage().topic(), stage().group()];
    const { admin } = stage().connect('operator');
    await admin.createTopic(topic, { partitions: 2 });
    const topics = [{ topic }, { topic: other }];
    const collector = await stage().collect(topic, { group, topics, maxInFlightMessages: 1 }, keep);
    await stage().sendAll(topic, ['a', 'b', 'c'], { key: 'k', id: 'same' });
    const { pending } = await admin.timers();
    await stage().send(topic, 'later', { deliverAtMs: Date.now() + 200, timerId: 't' });
    const half = await stage().port.prepare(group, [{ topic, tag: 'sent', body: Buffer.from('half') }]);
    await gathered(collector, 1);
    await expect(admin.deleteTopic(topic)).rejects.toMatchObject({ code: 'IN_USE' });
    await collector.consumer.close(0);
    await admin.deleteTopic(topic);
    const expectGone = async (): Promise<void> => {
      expect((await stage().port.admin.topics()).map((each) => each.topic)).not.toContain(topic);
      const read = stage().port.admin.read(topic, 0, 0, 1);
      await expect(read).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' });
      expect((await groupInfo(group))?.lag).toBe(0);
      expect((await groupInfo(group))?.positions.map((each) => each.topic)).not.toContain(topic);
    };
    await expectGone();
    await stage().restart();
    await expectGone();
    await stage().port.admin.decideTransaction(half.transactionId, 'commit');
    await until(async () => (await stage().port.admin.timers()).pending === pending, 'the timer');
    expect((await stage().port.admin.audit()).at(-2)).toMatchObject({
      by: 'operator',
      action: 'delete-topic',
      subject: topic,
    });
    const reader = await stage().collect(topic, { group, topics });
    expect(await stage().send(topic, 'new', { key: 'k', id: 'same' })).toMatchObject({
      duplicate: false,
      offset: 0,
    });
    await gathered(reader, 1);
    expect(reader.texts()).toEqual(['new']);
    await until(async () => (await groupInfo(group))?.lag === 0, 'the ack');
    // A crash keeps the ack once something later is confirmed.
    await stage().send(stage().topic(), 'later');
    await stage().restart();
    await stage().send(topic, 'newer');
    const again = await stage().collect(topic, { group, topics });
    await gathered(again, 1);
    expect(again.texts()).toEqual(['newer']);
  });

  it.each(['%DLQ%group', '%RETRY%group', ''])(
    'deletes no topic %j, which is not one of its users',
    async (topic) => {
      await expect(stage().port.admin.deleteTopic(topic)).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' });
    },
  );

  it('refuses to read a topic that does not exist', async () => {
    await expect(stage().port.admin.read(stage().topic(), 0, 0, 1)).rejects.toMatchObject({
      code: 'UNKNOWN_TOPIC',
    });
  });

  it('is ready', async () => {
    await stage().port.ready(5_000);
  });
}
