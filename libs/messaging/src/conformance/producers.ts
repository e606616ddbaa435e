import { expect } from '@jest/globals';
import { it } from './promise.js';
import { gathered, range } from './stage.js';
import type { Stage } from './stage.js';

export function producerSection(stage: () => Stage): void {
  const send = (port: ReturnType<Stage['connect']>, topic: string, text: string) =>
    port.send([{ topic, tag: 'sent', key: 'k', body: Buffer.from(text) }]);

  it('stores what one producer sends once each and in order, however much is under way', async () => {
    const topic = stage().topic();
    const port = stage().connect('shop', { producer: { name: stage().group() } });
    const receipts = await Promise.all(range(500).map((n) => send(port, topic, String(n))));
    expect(receipts.map(([receipt]) => receipt?.offset)).toEqual(range(500));
    const collector = await stage().collect(topic, { order: 'by-key' });
    await gathered(collector, 500);
    expect(collector.texts()).toEqual(range(500).map(String));
  });

  it('fences the older of two instances under one name', async () => {
    const [topic, name] = [stage().topic(), stage().group()];
    const older = stage().connect('older', { producer: { name } });
    await send(older, topic, '1');
    const newer = stage().connect('newer', { producer: { name } });
    await send(newer, topic, '2');
    for (const text of ['late', 'later']) {
      await expect(send(older, topic, text)).rejects.toMatchObject({ code: 'PRODUCER_FENCED' });
    }
    await send(newer, topic, '3');
    const collector = await stage().collect(topic);
    await gathered(collector, 3);
    expect(collector.texts()).toEqual(['1', '2', '3']);
  });

  it('goes on behind a send that was refused', async () => {
    const topic = stage().topic();
    const port = stage().connect('shop', { producer: { name: stage().group() } });
    const results = await Promise.allSettled([
      send(port, topic, '1'),
      send(port, 'not a topic!', 'x'),
      send(port, topic, '2'),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    await expect(send(port, topic, '3')).resolves.toMatchObject([{ offset: 2 }]);
  });

  it('lets the same name send on after a crash of the broker', async () => {
    const [topic, name] = [stage().topic(), stage().group()];
    await send(stage().connect('before', { producer: { name } }), topic, '1');
    await stage().restart();
    const port = stage().connect('after', { producer: { name } });
    await expect(send(port, topic, '2')).resolves.toMatchObject([{ offset: 1, duplicate: false }]);
  });
}
