import { expect } from '@jest/globals';
import { it } from './promise.js';
import { gathered, keep, range } from './stage.js';
import type { Stage } from './stage.js';

export function durabilitySection(stage: () => Stage): void {
  it('keeps every acknowledged send over a crash', async () => {
    const topic = stage().topic();
    const texts = range(500).map(String);
    await Promise.all(texts.map((text) => stage().send(topic, text, { key: text })));
    await stage().restart();
    const collector = await stage().collect(topic);
    await gathered(collector, 500);
    expect(collector.texts().sort()).toEqual([...texts].sort());
  });

  it('recognises a repeated id after a crash', async () => {
    const topic = stage().topic();
    const first = await stage().send(topic, 'a', { id: `id-${topic}` });
    await stage().restart();
    expect(await stage().send(topic, 'a', { id: `id-${topic}` })).toEqual({ ...first, duplicate: true });
  });

  it('delivers what was in flight again after a crash', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const before = await stage().collect(topic, { group }, keep);
    await stage().sendAll(topic, ['a', 'b']);
    await gathered(before, 2);
    await stage().restart();
    const after = await stage().collect(topic, { group });
    await gathered(after, 2);
    expect(after.texts().sort()).toEqual(['a', 'b']);
  });

  it('goes on with dense offsets after several crashes', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    for (const n of range(3)) {
      expect(await stage().send(topic, String(n))).toMatchObject({ partition: 0, offset: n });
      await stage().restart();
    }
    expect((await stage().port.admin.read(topic, 0, 0, 10)).map(({ offset }) => offset)).toEqual([0, 1, 2]);
  });
}
