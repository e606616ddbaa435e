/**
 * Groups and topics that operators delete. What is gone keeps its number: entries that were under way may name it, and
 * delayed messages of a topic may be carried through the journal for a year. They find it, and change nothing any more.
 */
import { deadLetterTopic, retryTopic } from '#libs/messaging/port';
import type { Topic } from '../topics/topics.js';
import type { Stores } from './stores.js';

/** Applies `GROUP_DELETED`. */
export function removeGroup(stores: Stores, groupId: number): void {
  const group = stores.groups.byGroupId(groupId);
  for (const topic of [retryTopic(group.name), deadLetterTopic(group.name)]) {
    const own = stores.topics.get(topic);
    if (own) removeTopic(stores, own);
  }
  for (const cursor of [...group.cursors.values()]) group.dropCursor(cursor);
  group.interests.set([]);
  stores.deadLetters.forget(group.name);
  stores.groups.delete(group);
}

/** Applies `TOPIC_DELETED`. */
export function removeTopic(stores: Stores, topic: Topic): void {
  for (const partition of topic.partitions) {
    for (const group of stores.groups.everyone()) {
      const cursor = group.cursors.get(partition);
      if (cursor) group.dropCursor(cursor);
    }
    partition.beginAt(partition.end);
  }
  stores.topics.delete(topic);
}
