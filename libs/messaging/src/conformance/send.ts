import { expect } from '@jest/globals';
import { MAX_BODY_BYTES } from '../message.js';
import { it } from './promise.js';
import { gathered, range } from './stage.js';
import type { Stage } from './stage.js';

export function sendSection(stage: () => Stage): void {
  it('keeps every part of a message', async () => {
    const topic = stage().topic();
    const beforeMs = Date.now();
    const headers = {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      'x-größe': '✓'.repeat(200),
    };
    const body = Buffer.from(range(256));
    const [receipt] = await stage().port.send([
      { topic, tag: 'fact', key: 'schlüssel', headers, body, priority: 7 },
    ]);
    const collector = await stage().collect(topic);
    await gathered(collector, 1);
    const message = collector.received[0]?.message;
    expect(message).toMatchObject({ topic, tag: 'fact', key: 'schlüssel', headers, priority: 7 });
    expect(message).toMatchObject({
      id: receipt?.messageId,
      partition: receipt?.partition,
      offset: receipt?.offset,
    });
    expect(Buffer.from(message?.body ?? [])).toEqual(body);
    expect(message?.storedAtMs).toBeGreaterThanOrEqual(beforeMs);
    expect(message?.storedAtMs).toBeLessThanOrEqual(Date.now());
  });

  it('answers with dense offsets per partition, in sending order', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    const one = await stage().sendAll(topic, ['a', 'b']);
    const two = await stage().send(topic, 'c');
    expect(
      [...one, two].map(({ status, partition, offset, duplicate }) => [status, partition, offset, duplicate]),
    ).toEqual([
      ['SEND_OK', 0, 0, false],
      ['SEND_OK', 0, 1, false],
      ['SEND_OK', 0, 2, false],
    ]);
  });

  it('answers in time with SEND_OK where a topic bounds how long its flush may take', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic, { flushTimeoutMs: 10_000 });
    expect(await stage().send(topic, 'a')).toMatchObject({ status: 'SEND_OK', duplicate: false });
    const refused = stage().port.admin.createTopic(stage().topic(), { flushTimeoutMs: 0 });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('puts messages of one key into one partition and spreads keys', async () => {
    const topic = stage().topic();
    const partitionsOf = async (key: string): Promise<number[]> =>
      (await stage().sendAll(topic, ['1', '2', '3'], { key })).map(({ partition }) => partition);
    const perKey = await Promise.all(range(32).map((n) => partitionsOf(`key-${n}`)));
    for (const partitions of perKey) expect(new Set(partitions).size).toBe(1);
    expect(new Set(perKey.flat()).size).toBeGreaterThan(1);
  });

  it('stores a repeated id once and answers with the first copy', async () => {
    const topic = stage().topic();
    const id = `id-${topic}`;
    const first = await stage().send(topic, 'a', { id });
    const again = await stage().send(topic, 'a', { id });
    expect(again).toEqual({ ...first, duplicate: true });
    const collector = await stage().collect(topic);
    await stage().send(topic, 'end');
    await gathered(collector, 2);
    expect(collector.texts().sort()).toEqual(['a', 'end']);
  });

  it('stores a repeated id once when both are on the way at the same time', async () => {
    const topic = stage().topic();
    const id = `id-${topic}`;
    const receipts = await Promise.all(range(10).map(() => stage().send(topic, 'a', { id })));
    expect(receipts.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    expect(new Set(receipts.map(({ offset }) => offset)).size).toBe(1);
  });

  it('delivers what was sent without waiting for an answer', async () => {
    const topic = stage().topic();
    const collector = await stage().collect(topic);
    stage().port.sendOneway([{ topic, tag: 'sent', body: Buffer.from('a') }]);
    await gathered(collector, 1);
    expect(collector.texts()).toEqual(['a']);
  });

  it('stores all messages of one call or none', async () => {
    const topic = stage().topic();
    const sent = stage().port.send([
      { topic, tag: 'sent', body: Buffer.from('a') },
      { topic, tag: 'sent', body: Buffer.alloc(MAX_BODY_BYTES + 1) },
    ]);
    await expect(sent).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' });
    const collector = await stage().collect(topic);
    await stage().send(topic, 'end');
    await gathered(collector, 1);
    expect(collector.texts()).toEqual(['end']);
  });

  it('takes a body of the largest size, and an empty one', async () => {
    const topic = stage().topic();
    const body = Buffer.alloc(MAX_BODY_BYTES, 5);
    await stage().port.send([{ topic, tag: 'sent', body }]);
    await stage().port.send([{ topic, tag: 'sent', body: Buffer.alloc(0) }]);
    const collector = await stage().collect(topic);
    await gathered(collector, 2);
    expect(collector.received.map(({ message }) => message.body.byteLength).sort((a, b) => a - b)).toEqual([
      0,
      MAX_BODY_BYTES,
    ]);
  });

  it('refuses a topic that cannot be one, and says so', async () => {
    await expect(stage().send('not a topic!', 'a')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(stage().send('', 'a')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('answers a send of nothing with nothing', async () => {
    expect(await stage().port.send([])).toEqual([]);
  });
}
