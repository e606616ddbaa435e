import type { TopicFilter } from '#libs/messaging/port';
import type { Audited } from '../audit/audit.js';
import type { HeldBack } from '../positions/tries.js';
import type { Partition } from '../topics/topics.js';

/** An offset as the journal names it. */
export type RecordedPlace = [topicId: number, partition: number, offset: number];

export const recordedPlace = ({ topic, number }: Partition, offset: number): RecordedPlace => [
  topic.id,
  number,
  offset,
];

/** What the entries of groups record beside their message records. */
export type GroupFacts = {
  groupCreated: { id: number; name: string };
  cursorsCreated: { groupId: number; cursors: RecordedPlace[] };
  /** All different subscriptions that the group knows, of members that are there or were lately. */
  interests: { groupId: number; interests: (readonly TopicFilter[])[] };
  moved: { groupId: number; place: RecordedPlace; to: 'retry' | 'dead-letter' };
  heldBack: { groupId: number; place: RecordedPlace } & HeldBack;
  groupReset: { groupId: number; cursors: RecordedPlace[] } & Audited;
  /** `place` is the first offset that is kept. */
  missed: { atMs: number; groups: { groupId: number; place: RecordedPlace }[] };
  undecodable: { atMs: number; groupId: number; place: RecordedPlace };
};
