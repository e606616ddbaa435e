import { expect } from '@jest/globals';
import { it } from './promise.js';
import { gathered, keep, range, until } from './stage.js';
import type { Stage } from './stage.js';

export function maximumLengthSection(stage: () => Stage): void {
  it('rejects what does not fit, the whole send and only it, and takes more once some is settled', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    await stage().port.admin.createTopic(topic, { partitions: 1, maxMessages: 3 });
    await stage().sendAll(topic, ['1', '2']);
    await expect(stage().sendAll(topic, ['3', '4'])).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    await stage().send(topic, '3');
    await expect(stage().send(topic, '4')).rejects.toMatchObject({ code: 'QUEUE_FULL', kind: 'transient' });
    const collector = await stage().collect(topic, { group });
    await gathered(collector, 3);
    const lag = async () => (await stage().port.admin.groups()).find((each) => each.group === group)?.lag;
    await until(async () => (await lag()) === 0, 'the acks');
    await stage().send(topic, '4');
    await gathered(collector, 4);
    expect(collector.texts()).toEqual(['1', '2', '3', '4']);
  });

  it('gives what does not fit to the dead letters of every group, and says so', async () => {
    const [topic, one, two] = [stage().topic(), stage().group(), stage().group()];
    const { admin } = stage().port;
    await admin.createTopic(topic, { partitions: 1, maxMessages: 1, whenFull: 'dead-letter' });
    const collectors = [
      await stage().collect(topic, { group: one }, keep),
      await stage().collect(topic, { group: two }, keep),
    ];
    await stage().send(topic, 'fits');
    const late = { id: `late-${topic}`, key: 'k', headers: { a: 'b' } };
    const receipt = await stage().send(topic, 'late', late);
    expect(receipt).toMatchObject({ status: 'DEAD_LETTERED', topic, partition: -1, offset: -1 });
    expect(await stage().send(topic, 'late', late)).toEqual({ ...receipt, duplicate: true });
    for (const group of [one, two]) {
      expect(await admin.deadLetters(group)).toMatchObject([
        {
          id: late.id,
          group,
          reason: 'queue-full',
          attempts: [],
          message: { topic, key: 'k', headers: late.headers },
        },
      ]);
    }
    for (const { received } of collectors) await Promise.all(received.map((delivery) => delivery.ack()));
    expect(await admin.redrive(one, late.id)).toBe(true);
    await gathered(collectors[0]!, 2);
    expect(collectors[0]!.texts()).toEqual(['fits', 'late']);
  });

  it('rejects when there is no group to have a dead letter', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic, { maxMessages: 1, whenFull: 'dead-letter' });
    await stage().send(topic, '1');
    await expect(stage().send(topic, '2')).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  });

  it('bounds bytes as well, and half messages', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic, { partitions: 1, maxBytes: 10_000 });
    await stage().sendAll(
      topic,
      range(2).map(() => 'x'.repeat(4_000)),
    );
    const full = { code: 'QUEUE_FULL' };
    await expect(stage().send(topic, 'x'.repeat(4_000))).rejects.toMatchObject(full);
    const half = [{ topic, tag: 'sent', body: Buffer.alloc(4_000) }];
    await expect(stage().port.prepare('shop', half)).rejects.toMatchObject(full);
  });

  it('keeps the bound and its dead letters over a crash', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const options = { partitions: 1, maxMessages: 2, whenFull: 'dead-letter' } as const;
    await stage().port.admin.createTopic(topic, options);
    await stage().collect(topic, { group }, keep);
    await stage().sendAll(topic, ['1', '2', '3']);
    await stage().restart();
    const { admin } = stage().port;
    expect(await admin.deadLetters(group)).toMatchObject([{ reason: 'queue-full', message: { topic } }]);
    expect(await stage().send(topic, '4')).toMatchObject({ status: 'DEAD_LETTERED' });
    const info = (await admin.topics()).find((each) => each.topic === topic);
    expect(info?.limit).toEqual({ maxMessages: 2, whenFull: 'dead-letter' });
  });

  it('refuses a bound that cannot be kept', async () => {
    const refused = { code: 'INVALID_ARGUMENT' };
    const create = (options: object) => stage().port.admin.createTopic(stage().topic(), options);
    await expect(create({ maxMessages: 0 })).rejects.toMatchObject(refused);
    await expect(create({ maxMessages: 1, whenFull: 'drop' })).rejects.toMatchObject(refused);
  });
}
