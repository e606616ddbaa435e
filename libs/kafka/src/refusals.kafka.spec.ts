import { afterAll, describe, expect, it } from '@jest/globals';
import type { OutgoingMessage, Subscription } from '#libs/messaging/port';
import { connectKafkaBroker } from './connect-kafka-broker.js';
import { brokersUnderTest, newName, quietLog } from './testing/kafka-under-test.js';

const port = connectKafkaBroker({ brokers: brokersUnderTest(), clientName: 'spec', log: quietLog });
const topic = newName('topic');
const message = (more: Partial<OutgoingMessage>) => [{ topic, tag: 't', body: Buffer.from('x'), ...more }];
const subscription = (more: Partial<Subscription>) =>
  port.subscribe({ group: newName('group'), topics: [{ topic }], ...more }, () => Promise.resolve());

describe('what Kafka does not do', () => {
  afterAll(() => port.close());

  it.each<[string, () => Promise<unknown>]>([
    ['a delayed send', () => port.send(message({ deliverAtMs: Date.now() + 60_000 }))],
    ['a timer handle', () => port.send(message({ timerId: 'a' }))],
    ['recall', () => port.recall('a')],
    ['reschedule', () => port.reschedule('a', Date.now())],
    ['prepare', () => port.prepare('group', message({}))],
    ['onCheckBack', () => port.onCheckBack('group', () => Promise.resolve('commit'))],
    ['an operator’s decision', () => port.admin.decideTransaction('a', 'commit')],
    ['a priority', () => port.send(message({ priority: 9 }))],
    ['shares by weight', () => subscription({ priorities: 'weighted' })],
    ['a maximum length', () => port.admin.createTopic(newName('topic'), { maxMessages: 1 })],
    ['a flush policy', () => port.admin.createTopic(newName('topic'), { flush: 'async' })],
    ['a bound of a flush', () => port.admin.createTopic(newName('topic'), { flushTimeoutMs: 1_000 })],
    ['automatic redrive', () => subscription({ automaticRedrive: { coolDownMs: 1_000 } })],
    ['a trace', () => port.admin.trace('a')],
    ['a trace by key', () => port.admin.traceByKey('a')],
  ])('is refused by name: %s', async (_, call) => {
    await expect(call()).rejects.toMatchObject({ code: 'UNSUPPORTED', kind: 'invalid' });
  });

  it('leaves nothing behind: a call with one message that is refused stores none', async () => {
    const place = newName('topic');
    const [first] = message({ topic: place });
    await port.send([first!]);
    const both = port.send([first!, { ...first!, priority: 0 }]);
    await expect(both).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    const info = (await port.admin.topics()).find((each) => each.topic === place);
    expect(info?.partitions.reduce((sum, { endOffset }) => sum + endOffset, 0)).toBe(1);
  });

  it('is refused of a running group: to be set elsewhere', async () => {
    const group = newName('group');
    const consumer = await subscription({ group });
    await expect(port.admin.resetGroup(group, 'earliest')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await consumer.close();
    await port.admin.resetGroup(group, 'earliest');
  });

  it.each(['DLQ.mine', 'RETRY.mine', '__mine'])('takes no topic %s: such names are its own', async (name) => {
    await expect(port.send(message({ topic: name }))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('takes no header that would be read as its own', async () => {
    const sent = port.send(message({ headers: { 'sp.id': 'x' } }));
    await expect(sent).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
