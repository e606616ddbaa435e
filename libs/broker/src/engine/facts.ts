import type { Audited } from '../audit/audit.js';
import type { GroupFacts } from '../groups/group-facts.js';
import type { ProducerFacts } from '../producers/sequences.js';
import type { TopicFacts } from '../topics/topics.js';

/** What each entry type records beside its message records. */
export type Facts = GroupFacts & {
  topicCreated: TopicFacts;
  /** `handle` is what the producer recalled it by; `topicId` is absent in logs of version 0.1. */
  timerRecalled: { hash: number; position: number; handle: string; topicId?: number };
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
  /** `offset`, in the dead-letter topic, is absent in logs of version 0.1: there, a group had one letter of an id. */
  redriven: { group: string; id: string; offset?: number } & Audited;
  producerOpened: ProducerFacts;
  groupDeleted: { groupId: number } & Audited;
  topicDeleted: { topicId: number } & Audited;
  letterEdited: { group: string; offset: number } & Audited;
  discarded: { group: string; id: string; offset?: number } & Audited;
  /** `before` is the first offset of the dead-letter topic that is kept. */
  deadLettersDropped: { group: string; before: number } & Audited;
};
