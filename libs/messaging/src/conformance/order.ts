import { expect } from '@jest/globals';
import { it } from './promise.js';
import { ack, gathered, keep, range, textOf, until } from './stage.js';
import type { Collector, Stage } from './stage.js';

export function orderSection(stage: () => Stage): void {
  const ofKey = (collector: Collector, key: string): string[] =>
    collector.received.filter(({ message }) => message.key === key).map(textOf);

  it('delivers messages of a key in order, one at a time, others beside them', async () => {
    const topic = stage().topic();
    const keys = ['a', 'b', 'c', 'd'];
    for (const n of range(20)) {
      await stage().port.send(keys.map((key) => ({ topic, tag: 'sent', key, body: Buffer.from(String(n)) })));
    }
    const busy = new Set<string>();
    let overlaps = 0;
    let beside = 0;
    const collector = await stage().collect(topic, { order: 'by-key' }, async (delivery) => {
      const key = delivery.message.key ?? '';
      if (busy.has(key)) overlaps++;
      busy.add(key);
      beside = Math.max(beside, busy.size);
      await new Promise((resolve) => setTimeout(resolve, 1));
      busy.delete(key);
      await delivery.ack();
    });
    await gathered(collector, 80);
    for (const key of keys) expect(ofKey(collector, key)).toEqual(range(20).map(String));
    expect(overlaps).toBe(0);
    expect(beside).toBeGreaterThan(1);
  });

  it('blocks only the key whose message fails, until it succeeds', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    let areFineThrough = false;
    const collector = await stage().collect(topic, { order: 'by-key' }, (delivery) =>
      delivery.message.key === 'failing' && textOf(delivery) === '0' && !areFineThrough
        ? delivery.retry({ delayMs: 20, error: 'not yet' })
        : delivery.ack(),
    );
    await stage().sendAll(topic, range(5).map(String), { key: 'failing' });
    await stage().sendAll(topic, range(5).map(String), { key: 'fine' });
    await until(() => ofKey(collector, 'fine').length === 5, 'the messages of the other key');
    await until(() => ofKey(collector, 'failing').length >= 2, 'another try');
    expect(new Set(ofKey(collector, 'failing'))).toEqual(new Set(['0']));
    areFineThrough = true;
    await until(() => ofKey(collector, 'failing').includes('4'), 'the messages behind it');
    expect(ofKey(collector, 'failing').filter((text) => text !== '0')).toEqual(['1', '2', '3', '4']);
    expect(ofKey(collector, 'fine')).toEqual(range(5).map(String));
  });

  it('goes on with a key when its failing message is given up', async () => {
    const topic = stage().topic();
    const collector = await stage().collect(topic, { order: 'by-key' }, (delivery) =>
      textOf(delivery) === 'bad'
        ? delivery.deadLetter({ reason: 'rejected', error: 'never' })
        : delivery.ack(),
    );
    await stage().sendAll(topic, ['bad', 'good'], { key: 'k' });
    await gathered(collector, 2);
    expect(collector.texts()).toEqual(['bad', 'good']);
  });

  it('blocks a key as often as the policy says, then dead-letters the message and goes on', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const policy = { group, order: 'by-key', whenFailing: { blockTimes: 2 } } as const;
    const collector = await stage().collect(topic, policy, (delivery) =>
      textOf(delivery) === 'bad' ? delivery.retry({ delayMs: 5, error: 'no' }) : delivery.ack(),
    );
    await stage().sendAll(topic, ['bad', 'good'], { key: 'k' });
    await gathered(collector, 4);
    expect(collector.texts()).toEqual(['bad', 'bad', 'bad', 'good']);
    const [letter] = await stage().port.admin.deadLetters(group);
    expect(letter).toMatchObject({ reason: 'retries-exhausted', error: 'no' });
    expect(letter?.attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  });

  it('skips a failing message at once when the policy says so', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const collector = await stage().collect(
      topic,
      { group, order: 'by-key', whenFailing: 'skip' },
      (delivery) =>
        textOf(delivery) === 'bad' ? delivery.retry({ delayMs: 60_000, error: 'no' }) : delivery.ack(),
    );
    await stage().sendAll(topic, ['bad', 'good'], { key: 'k' });
    await gathered(collector, 2);
    expect(collector.texts()).toEqual(['bad', 'good']);
    expect(await stage().port.admin.deadLetters(group)).toMatchObject([{ reason: 'retries-exhausted' }]);
  });

  it('gives a message back from the dead letters beside no other of its key', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const busy = new Set<string>();
    let overlaps = 0;
    const verdict = async (delivery: Collector['received'][number]): Promise<void> => {
      if (busy.size > 0) overlaps++;
      busy.add(textOf(delivery));
      await new Promise((resolve) => setTimeout(resolve, 20));
      busy.delete(textOf(delivery));
      const dies = textOf(delivery) === '0' && delivery.history.length === 0;
      await (dies ? delivery.deadLetter({ reason: 'rejected', error: 'no' }) : delivery.ack());
    };
    const options = { group, order: 'by-key' } as const;
    const collectors = [
      await stage().collect(topic, options, verdict),
      await stage().collect(topic, options, verdict, stage().connect('second')),
    ];
    await stage().sendAll(topic, range(10).map(String), { key: 'k' });
    const letter = async () => (await stage().port.admin.deadLetters(group))[0];
    await until(async () => (await letter()) !== undefined, 'a dead letter');
    await stage().port.admin.redrive(group, (await letter())?.id ?? '');
    await until(() => collectors.flatMap(({ received }) => received).length === 11, '11 deliveries');
    expect(overlaps).toBe(0);
  });

  it('loses nothing of a group that comes back with another order', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const ordered = await stage().collect(topic, { group, order: 'by-key' }, keep);
    await stage().sendAll(topic, range(5).map(String), { key: 'k' });
    await gathered(ordered, 1);
    await ordered.consumer.close(0);
    const unordered = await stage().collect(topic, { group }, keep);
    await gathered(unordered, 5);
    expect(unordered.texts().sort()).toEqual(range(5).map(String));
    await unordered.consumer.close(0);
    const again = await stage().collect(topic, { group, order: 'by-key' });
    await gathered(again, 5);
    expect(again.texts()).toEqual(range(5).map(String));
  });

  it('refuses an order policy that cannot be kept', async () => {
    const joined = (more: object): Promise<unknown> => stage().collect(stage().topic(), more);
    const refused = { code: 'INVALID_ARGUMENT' };
    await expect(joined({ whenFailing: 'skip' })).rejects.toMatchObject(refused);
    await expect(joined({ order: 'by-key', whenFailing: { blockTimes: -1 } })).rejects.toMatchObject(refused);
  });

  it('never has one key at two members', async () => {
    const topic = stage().topic();
    const group = stage().group();
    const busy = new Set<string>();
    let overlaps = 0;
    const verdict = async (delivery: Collector['received'][number]): Promise<void> => {
      const key = delivery.message.key ?? '';
      if (busy.has(key)) overlaps++;
      busy.add(key);
      await new Promise((resolve) => setTimeout(resolve, 1));
      busy.delete(key);
      await delivery.ack();
    };
    const options = { group, order: 'by-key', maxInFlightMessages: 4 } as const;
    const first = await stage().collect(topic, options, verdict);
    for (const n of range(30)) {
      await stage().port.send(
        range(6).map((key) => ({ topic, tag: 'sent', key: `k${key}`, body: Buffer.from(String(n)) })),
      );
    }
    const second = await stage().collect(topic, options, verdict, stage().connect('second'));
    const all = (): string[] => [...first.texts(), ...second.texts()];
    await until(
      () => all().length >= 180,
      () => `180 messages, there are ${all().length}`,
    );
    expect(overlaps).toBe(0);
    for (const key of range(6)) {
      const both = [...first.received, ...second.received]
        .filter(({ message }) => message.key === `k${key}`)
        .map(({ message }) => message.offset);
      expect(new Set(both).size).toBe(30);
    }
  });

  it('resumes at the lowest unfinished message after a crash, without the finished ones behind it', async () => {
    const topic = stage().topic();
    const group = stage().group();
    const open = 'unfinished';
    const before = await stage().collect(topic, { group }, (delivery) =>
      textOf(delivery) === open ? keep(delivery) : ack(delivery),
    );
    await stage().sendAll(topic, ['1', open, '2', '3'], { key: 'k' });
    await gathered(before, 4);
    const info = async (): Promise<number | undefined> =>
      (await stage().port.admin.groups()).find((each) => each.group === group)?.lag;
    await until(async () => (await info()) === 1, 'the other acks');
    // Acks are recorded in order with sends, so the answer to a send proves that they are on disk.
    await stage().send(topic, 'end', { key: 'k' });
    await stage().restart();
    const after = await stage().collect(topic, { group });
    await stage().send(topic, 'marker', { key: 'k' });
    await until(() => ['marker', open].every((text) => after.texts().includes(text)), 'what was unfinished');
    expect(after.texts().filter((text) => text !== 'end' && text !== 'marker')).toEqual([open]);
  });
}
