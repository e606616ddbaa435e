import { MessagingError, type TopicLimit } from '#libs/messaging/port';
import { Cursor, type CursorGroup } from '../positions/cursor.js';
import type { Topic } from '../topics/topics.js';

/** What the slowest group has not settled of a topic, or all that is stored as long as no group reads it. */
function lengthOf(topic: Topic): { messages: number; bytes: number; groups: Set<CursorGroup> } {
  const lags = new Map<CursorGroup, { messages: number; bytes: number }>();
  const stored = { messages: 0, bytes: 0 };
  for (const partition of topic.partitions) {
    stored.messages += partition.end - partition.start;
    stored.bytes += partition.bytesFrom(partition.start);
    for (const cursor of partition.listeners) {
      if (!(cursor instanceof Cursor) || cursor.group.mode !== 'shared') continue;
      const lag = lags.get(cursor.group) ?? { messages: 0, bytes: 0 };
      lag.messages += cursor.lag;
      lag.bytes += partition.bytesFrom(cursor.settled.committed);
      lags.set(cursor.group, lag);
    }
  }
  const each = lags.size === 0 ? [stored] : [...lags.values()];
  return {
    messages: Math.max(...each.map(({ messages }) => messages)),
    bytes: Math.max(...each.map(({ bytes }) => bytes)),
    groups: new Set(lags.keys()),
  };
}

/** Which messages of one send still fit into their topics. */
export class Admission {
  private readonly lengths = new Map<Topic, ReturnType<typeof lengthOf>>();

  /**
   * Counts a message in. The answer is `undefined` when it fits, else the groups whose dead letter it becomes.
   * @throws {MessagingError} `QUEUE_FULL` when the topic rejects, or nobody is there to have a dead letter
   */
  admit(topic: Topic, limit: TopicLimit, bytes: number): readonly CursorGroup[] | undefined {
    let length = this.lengths.get(topic);
    if (!length) this.lengths.set(topic, (length = lengthOf(topic)));
    const { maxMessages = Infinity, maxBytes = Infinity } = limit;
    if (length.messages < maxMessages && length.bytes + bytes <= maxBytes) {
      length.messages += 1;
      length.bytes += bytes;
      return undefined;
    }
    if (limit.whenFull === 'dead-letter' && length.groups.size > 0) return [...length.groups];
    throw new MessagingError(
      'QUEUE_FULL',
      `topic ${topic.name} has ${length.messages} messages (${length.bytes} bytes) that are not settled`,
    );
  }
}
