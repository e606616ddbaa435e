import { describe, expect, it } from '@jest/globals';
import type { Committed } from '../client/kafka-client.js';
import { Commits } from './commits.js';
import { OffsetWindow } from './offset-window.js';
import { PartitionWork } from './partition-work.js';

const workAt = (partition: number): PartitionWork =>
  new PartitionWork({ topic: 'order', partition }, new OffsetWindow(0), { messages: 10, bytes: 10 });

describe('Commits', () => {
  it('has one request under way, and sends what is settled meanwhile with the next, as it is then', async () => {
    const requests: (readonly Committed[])[] = [];
    const ends: (() => void)[] = [];
    const commits = new Commits((offsets) => {
      requests.push(offsets);
      return new Promise((resolve) => ends.push(resolve));
    });
    const [a, b] = [workAt(0), workAt(1)];
    const first = commits.add(a);
    while (ends.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const rest = [commits.add(a), commits.add(b), commits.add(a)];
    a.window.readTo(0, 5, new Set());
    expect(requests).toHaveLength(1);
    ends[0]?.();
    await first;
    while (ends.length === 1) await new Promise((resolve) => setImmediate(resolve));
    ends[1]?.();
    await Promise.all(rest);
    expect(requests.map((each) => each.map(({ partition, offset }) => [partition, offset]))).toEqual([
      [[0, 0]],
      [
        [0, 5],
        [1, 0],
      ],
    ]);
  });

  it('tells a failure to those whose places were in the request, and goes on', async () => {
    let isAway = true;
    const commits = new Commits(() => (isAway ? Promise.reject(new Error('away')) : Promise.resolve()));
    await expect(commits.add(workAt(0))).rejects.toThrow('away');
    isAway = false;
    await commits.add(workAt(0));
    await commits.settled();
  });
});
