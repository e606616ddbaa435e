import { expect } from '@jest/globals';
import { it } from './promise.js';
import { ack, gathered, keep, range, until } from './stage.js';
import type { Stage } from './stage.js';

export function publishSubscribeSection(stage: () => Stage): void {
  it('gives every group every message', async () => {
    const topic = stage().topic();
    const [first, second] = [await stage().collect(topic), await stage().collect(topic)];
    await stage().sendAll(topic, ['a', 'b', 'c']);
    await gathered(first, 3);
    await gathered(second, 3);
    expect(first.texts().sort()).toEqual(['a', 'b', 'c']);
    expect(second.texts().sort()).toEqual(['a', 'b', 'c']);
  });

  it('divides the messages among the members of a group', async () => {
    const topic = stage().topic();
    const group = stage().group();
    await stage().port.admin.createTopic(topic);
    const other = stage().connect('other');
    const members = [
      await stage().collect(topic, { group, maxInFlightMessages: 10 }),
      await stage().collect(topic, { group, maxInFlightMessages: 10 }, ack, other),
    ];
    const texts = range(200).map(String);
    for (const text of texts) await stage().send(topic, text);
    const all = (): string[] => members.flatMap((member) => member.texts());
    await until(() => all().length >= 200, 'every message once');
    expect(all().sort()).toEqual([...texts].sort());
    expect(members.map(({ received }) => received.length > 0)).toEqual([true, true]);
  });

  it('gives what a leaving member had in flight to another, and counts no try', async () => {
    const topic = stage().topic();
    const group = stage().group();
    const leaving = await stage().collect(topic, { group }, keep, stage().connect('leaving'));
    await stage().sendAll(topic, ['a', 'b', 'c', 'd']);
    await gathered(leaving, 4);
    const staying = await stage().collect(topic, { group });
    await leaving.consumer.close(0);
    await gathered(staying, 4);
    expect(staying.texts().sort()).toEqual(['a', 'b', 'c', 'd']);
    expect(new Set(staying.received.map(({ attempt }) => attempt))).toEqual(new Set([1]));
    await expect(leaving.received[0]?.ack()).rejects.toMatchObject({ code: 'LEASE_LOST' });
  });

  it('hands every broadcast member what was stored after it joined, and keeps nothing for it', async () => {
    const topic = stage().topic();
    const group = stage().group();
    await stage().send(topic, 'before');
    const members = [
      await stage().collect(topic, { group, mode: 'broadcast' }),
      await stage().collect(topic, { group, mode: 'broadcast' }, ack, stage().connect('other')),
    ];
    await stage().sendAll(topic, ['a', 'b']);
    for (const member of members) {
      await gathered(member, 2);
      expect(member.texts().sort()).toEqual(['a', 'b']);
    }
  });

  it('starts a new group at the end when asked to', async () => {
    const topic = stage().topic();
    await stage().send(topic, 'old');
    const latest = await stage().collect(topic, { startAt: 'latest' });
    const earliest = await stage().collect(topic, { startAt: 'earliest' });
    await stage().send(topic, 'new');
    await gathered(latest, 1);
    await gathered(earliest, 2);
    expect(latest.texts()).toEqual(['new']);
    expect(earliest.texts().sort()).toEqual(['new', 'old']);
  });

  it('takes all topics of a prefix, those that are created later too', async () => {
    const prefix = stage().topic();
    await stage().send(`${prefix}.one`, 'a');
    const collector = await stage().collect(`${prefix}*`);
    await gathered(collector, 1);
    await stage().send(`${prefix}.two`, 'b');
    await gathered(collector, 2);
    expect(collector.received.map(({ message }) => message.topic)).toEqual([
      `${prefix}.one`,
      `${prefix}.two`,
    ]);
  });

  it('takes several topics with one subscription', async () => {
    const [one, two] = [stage().topic(), stage().topic()];
    const collector = await stage().collect(one, { topics: [{ topic: one }, { topic: two }] });
    await stage().send(one, 'a');
    await stage().send(two, 'b');
    await gathered(collector, 2);
    expect(collector.texts().sort()).toEqual(['a', 'b']);
  });
}
