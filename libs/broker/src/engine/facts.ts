import type { TopicFilter } from '#libs/messaging/port';
import type { AuditNote } from '../audit/audit.js';
import type { HeldBack } from '../groups/cursor.js';
import type { ProducerFacts } from '../producers/sequences.js';
import type { TopicFacts } from '../topics/topics.js';

/** A cursor's place: topic id, partition, offset. */
export type Place = [topicId: number, partition: number, offset: number];

/** Who an entry is owed to, where an operator may ask. */
export type Audited = { audit?: AuditNote };

/** What each entry type records beside its message records. */
export type Facts = {
  topicCreated: TopicFacts;
  groupCreated: { id: number; name: string };
  cursorsCreated: { groupId: number; cursors: Place[] };
  /** All different subscriptions that the group knows, of members that are there or were lately. */
  interests: { groupId: number; interests: (readonly TopicFilter[])[] };
  moved: { groupId: number; place: Place; to: 'retry' | 'dead-letter' };
  heldBack: { groupId: number; place: Place } & HeldBack;
  /** `TIMERS_FIRED_JSON`: pairs of handle hash and journal position. */
  timersFired: { timers: [hash: number, position: number][] };
  /** `handle` is what the producer recalled it by. */
  timerRecalled: { hash: number; position: number; handle?: string; topicId?: number };
  /** One record for each, with its new time. */
  timersMoved: { timers: [hash: number, position: number][] };
  prepared: { id: string; producerGroup: string; atMs: number };
  /** A producer answered a check-back with `unknown`; when it had been asked. */
  checked: { id: string; askedAtMs: number };
  /** The entry's records, in this order. `offset`: in the dead-letter topic; `preparedAt`: a journal position. */
  carried: {
    timers: [hash: number, position: number][];
    letters: [group: string, offset: number][];
    transactions: {
      id: string;
      producerGroup: string;
      atMs: number;
      preparedAt: number;
      checks: number;
      messages: number;
    }[];
  };
  decided: { id: string; decision: 'commit' | 'rollback' } & Audited;
  groupReset: { groupId: number; cursors: Place[] } & Audited;
  /** `offset`, in the dead-letter topic, is absent in older logs: there, a group had one letter of an id. */
  redriven: { group: string; id: string; offset?: number } & Audited;
  producerOpened: ProducerFacts;
  /** `place` is the first offset that is kept. */
  missed: { atMs: number; groups: { groupId: number; place: Place }[] };
  undecodable: { atMs: number; groupId: number; place: Place };
  letterEdited: { group: string; offset: number } & Audited;
  discarded: { group: string; id: string; offset?: number } & Audited;
  /** `before` is the first offset of the dead-letter topic that is kept. */
  deadLettersDropped: { group: string; before: number } & Audited;
};
