import { expect } from '@jest/globals';
import { it } from './promise.js';
import { gathered, inTime, until } from './stage.js';
import type { Stage } from './stage.js';

export function traceSection(stage: () => Stage): void {
  const steps = async (id: string): Promise<string[]> =>
    (await stage().port.admin.trace(id)).map(({ step }) => step);

  it('tells a message’s life from storing to redrive', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    let healed = false;
    await stage().collect(topic, { group }, (delivery) => {
      if (healed) return delivery.ack();
      return delivery.attempt === 1
        ? delivery.retry({ delayMs: 0, error: 'first' })
        : delivery.deadLetter({ reason: 'rejected', error: 'second' });
    });
    const { messageId } = await stage().send(topic, 'a');
    await until(async () => (await steps(messageId)).includes('dead-lettered'), 'the dead letter');
    healed = true;
    await stage().port.admin.redrive(group, messageId);
    await until(async () => (await steps(messageId)).includes('acked'), 'the ack');
    expect(await steps(messageId)).toEqual([
      'stored',
      'delivered',
      'retried',
      'delivered',
      'dead-lettered',
      'redriven',
      'delivered',
      'acked',
    ]);
    const events = await stage().port.admin.trace(messageId);
    const byConsumers = events.filter(({ step }) => step !== 'stored' && step !== 'redriven');
    for (const event of byConsumers)
      expect(event).toMatchObject({ group, consumer: 'main', node: expect.stringMatching(/./) });
    expect(events.map(({ atMs }) => atMs)).toEqual(events.map(({ atMs }) => atMs).sort((a, b) => a - b));
  });

  it('tells the life of a delayed message', async () => {
    const { topic, collector, messageId } = await inTime(50, async (deliverAtMs) => {
      const topic = stage().topic();
      const collector = await stage().collect(topic);
      const { messageId } = await stage().send(topic, 'a', { deliverAtMs });
      return { topic, collector, messageId };
    });
    await gathered(collector, 1);
    await until(async () => (await steps(messageId)).includes('acked'), 'the ack');
    expect((await steps(messageId)).filter((step) => step !== 'stored')).toEqual([
      'timer-set',
      'timer-fired',
      'delivered',
      'acked',
    ]);
    const recalled = await stage().send(topic, 'b', { deliverAtMs: Date.now() + 60_000 });
    await stage().port.recall(recalled.messageId);
    expect(await steps(recalled.messageId)).toEqual(['timer-set', 'timer-recalled']);
  });

  it('tells the lives of a key’s messages, in one topic or in all', async () => {
    const [topic, other, group] = [stage().topic(), stage().topic(), stage().group()];
    await stage().collect(topic, { group });
    const first = await stage().send(topic, 'a', { key: 'A-1' });
    await stage().send(topic, 'b', { key: 'A-2' });
    const second = await stage().send(topic, 'c', { key: 'A-1' });
    const elsewhere = await stage().send(other, 'd', { key: 'A-1' });
    for (const { messageId } of [first, second])
      await until(async () => (await steps(messageId)).includes('acked'), 'the ack');
    const { admin } = stage().port;
    const traces = await admin.traceByKey('A-1', topic);
    expect(traces).toMatchObject(
      [first, second].map(({ messageId, partition, offset }) => ({ messageId, topic, partition, offset })),
    );
    expect(traces.map(({ events }) => events.map(({ step }) => step))).toEqual([
      ['stored', 'delivered', 'acked'],
      ['stored', 'delivered', 'acked'],
    ]);
    const everywhere = (await admin.traceByKey('A-1')).map(({ messageId }) => messageId);
    expect(everywhere.sort()).toEqual([first, second, elsewhere].map(({ messageId }) => messageId).sort());
    expect(await admin.traceByKey('nobody')).toEqual([]);
    await expect(admin.traceByKey('A-1', 'no-such-topic')).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' });
  });

  it('tells it after a restart as well, with the consumer and the node of each step', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    await stage().collect(
      topic,
      { group },
      (delivery) =>
        delivery.attempt === 1 ? delivery.retry({ delayMs: 0, error: 'first' }) : delivery.ack(),
      stage().connect('stock-1'),
    );
    const { messageId } = await stage().send(topic, 'a', { key: 'A-1' });
    await until(async () => (await steps(messageId)).includes('acked'), 'the ack');
    const before = await stage().port.admin.trace(messageId);
    expect(before.map(({ step }) => step)).toEqual(['stored', 'delivered', 'retried', 'delivered', 'acked']);
    for (const event of before.slice(1)) expect(event).toMatchObject({ group, consumer: 'stock-1' });
    await stage().keepTrace();
    await stage().restart();
    expect(await stage().port.admin.trace(messageId)).toEqual(before);
    expect(await stage().port.admin.traceByKey('A-1', topic)).toMatchObject([{ messageId, events: before }]);
  });

  it('knows nothing of an unknown message', async () => {
    expect(await steps('unknown')).toEqual([]);
  });
}
