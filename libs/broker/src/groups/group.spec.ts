import { describe, expect, it } from '@jest/globals';
import { Topic } from '../topics/topics.js';
import { Group } from './group.js';
import { MAX_STRAGGLERS } from '../positions/settled-window.js';

describe('a group', () => {
  it('looks at a partition again when a message is settled for which it stood still', () => {
    const topic = new Topic(1, 't', 1, 'async', 0);
    const [partition] = topic.partitions;
    const group = new Group(1, 'g', 'shared', 0, () => undefined);
    group.takeInterest([[{ topic: 't' }]]);
    const cursor = group.addCursor(partition!, 0);
    partition!.visibleEnd = 1_000_000;
    // Every second message stays unsettled until no more may.
    for (; cursor.hasUnread; cursor.next++) if (cursor.next % 2 === 1) cursor.settle(cursor.next);
    expect(cursor.next).toBeGreaterThan(MAX_STRAGGLERS);
    group.queue.length = 0;
    cursor.queued = false;
    group.activate(cursor);
    expect(group.queue).toHaveLength(0);
    cursor.settle(0);
    expect(group.queue[0] === cursor).toBe(true);
  });
});
