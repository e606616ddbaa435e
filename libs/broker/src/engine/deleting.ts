import { MessagingError } from '#libs/messaging/port';
import type { AuditNote } from '../audit/audit.js';
import { EntryType } from '../journal/format.js';
import { isInternalTopic } from '../topics/topics.js';
import type { Engine } from './engine.js';

/** @throws {MessagingError} `UNKNOWN_GROUP`, `IN_USE` */
export async function deleteGroup(engine: Engine, name: string, audit: AuditNote): Promise<void> {
  const group = engine.state.groups.require(name);
  if (group.members.length > 0)
    throw new MessagingError('IN_USE', `group ${name} has ${group.members.length} members`);
  engine.state.groups.checkRoomForDeleted();
  engine.state.topics.checkRoomForDeleted();
  engine.commit(EntryType.GROUP_DELETED, { groupId: group.id, audit });
  await engine.journal.flush('durable');
}

/** @throws {MessagingError} `UNKNOWN_TOPIC`, `IN_USE` */
export async function deleteTopic(engine: Engine, name: string, audit: AuditNote): Promise<void> {
  const { topics, groups } = engine.state;
  if (isInternalTopic(name)) throw new MessagingError('UNKNOWN_TOPIC', `${name} goes with its group`);
  const topic = topics.require(name);
  for (const group of groups.everyone()) {
    if (group.members.length > 0 && group.wants(topic))
      throw new MessagingError('IN_USE', `group ${group.name} reads topic ${name} and has members`);
  }
  topics.checkRoomForDeleted();
  engine.commit(EntryType.TOPIC_DELETED, { topicId: topic.id, audit });
  await engine.journal.flush('durable');
}
