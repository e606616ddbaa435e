import type { Audit } from '../audit/audit.js';
import type { GroupLettersFacts } from '../dead-letters/dead-letters.js';
import type { HeldBack } from '../positions/tries.js';
import type { ProducerFacts } from '../producers/sequences.js';
import type { GroupInfo, TopicFilter } from '#libs/messaging/port';
import type { RecallFacts } from '../timers/recalls.js';
import type { TopicFacts } from '../topics/topics.js';
import type { Stores } from './stores.js';

type CursorSnapshot = {
  topicId: number;
  partition: number;
  committed: number;
  /** Settled offsets above `committed`. */
  ahead: [first: number, count: number][];
  heldBack: [offset: number, HeldBack][];
};

/**
 * What a broker has to know before the first entry of a segment: topics with the end of each partition, groups
 * with their positions, live dead letters. Every segment begins with one, so that the segments
 * before it can be dropped. Timers and half messages are not in it: a segment that holds one that
 * is pending is not dropped.
 */
export type Snapshot = {
  /** Deleted ones included, of both: see `deleting.ts`. */
  topics: (TopicFacts & { createdAt: number; ends: number[]; isDeleted?: true })[];
  groups: {
    id: number;
    name: string;
    createdAt: number;
    cursors: CursorSnapshot[];
    missed: GroupInfo['missed'];
    /** Absent in logs of version 0.1. */
    interests?: (readonly TopicFilter[])[];
    isDeleted?: true;
  }[];
  letters: GroupLettersFacts[];
  acts: ReturnType<Audit['facts']>;
  producers: (ProducerFacts & { last: number })[];
  /** Handles of the timers that were taken back last, and the decisions made last. */
  recalls: RecallFacts[];
  decisions: [transactionId: string, decision: 'commit' | 'rollback'][];
};

/**
 * Of recalls and decisions, the newest of each. They are there for whoever repeats a call because its answer was lost,
 * and matter only when retention has dropped what was recorded of the call itself.
 */
const MAX_ANSWERS = 10_000;

export function takeSnapshot(stores: Stores): Snapshot {
  return {
    topics: [...stores.topics.withDeleted()].map(
      ({ id, name, partitions, flush, createdAt, limit, flushTimeoutMs, isDeleted }) => ({
        id,
        name,
        partitions: partitions.length,
        flush,
        ...(limit ? { limit } : {}),
        ...(flushTimeoutMs === Infinity ? {} : { flushTimeoutMs }),
        ...(isDeleted && { isDeleted }),
        createdAt,
        ends: partitions.map(({ end }) => end),
      }),
    ),
    groups: [...stores.groups.withDeleted()].map((group) => {
      const { id, name, createdAt, cursors, missed, interests } = group;
      return {
        id,
        name,
        createdAt,
        missed,
        interests: interests.all.map(({ filters }) => filters),
        cursors: [...cursors.values()].map(({ partition, settled, heldBack }) => ({
          topicId: partition.topic.id,
          partition: partition.number,
          committed: settled.committed,
          ahead: settled.runs(),
          heldBack: [...heldBack],
        })),
        ...(group.isDeleted && { isDeleted: true }),
      };
    }),
    letters: stores.deadLetters.facts(),
    acts: stores.audit.facts(),
    producers: stores.sequences.facts(),
    recalls: stores.recalls.newest(MAX_ANSWERS),
    decisions: stores.transactions.newestDecisions(MAX_ANSWERS),
  };
}

/** Its JSON; undefined when it is longer than a string can be, which is 24 characters less than `MAX_ENTRY_BYTES`. */
export function jsonOf(snapshot: Snapshot): string | undefined {
  try {
    return JSON.stringify(snapshot);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Sets up an empty state; what the segments behind the snapshot hold is replayed after it. */
export function restoreSnapshot(stores: Stores, snapshot: Snapshot): void {
  for (const { ends, createdAt, isDeleted, ...facts } of snapshot.topics) {
    const topic = stores.topics.create(facts, createdAt);
    ends.forEach((end, number) => topic.partitions[number]?.beginAt(end));
    if (isDeleted) stores.topics.delete(topic);
  }
  for (const { cursors, createdAt, missed, interests, isDeleted, ...facts } of snapshot.groups) {
    const group = stores.groups.create(facts, createdAt);
    if (isDeleted) stores.groups.delete(group);
    group.missed = missed;
    if (interests) group.takeInterest(interests);
    for (const { topicId, partition: number, committed, ahead, heldBack } of cursors) {
      const partition = stores.topics.byTopicId(topicId).partitions[number];
      if (!partition) continue;
      const cursor = group.addCursor(partition, committed);
      for (const [first, count] of ahead) for (let i = 0; i < count; i++) cursor.settled.settle(first + i);
      for (const [offset, held] of heldBack) cursor.heldBack.set(offset, held);
    }
  }
  stores.deadLetters.restore(snapshot.letters);
  stores.audit.restore(snapshot.acts);
  for (const producer of snapshot.producers) stores.sequences.catchUp(producer);
  restoreAnswers(stores, snapshot);
}

/** What was decided in a gap is not asked for again. */
export function restoreAnswers(stores: Stores, { recalls, decisions }: Snapshot): void {
  for (const recall of recalls) {
    const [handle, topicId, position] = typeof recall === 'string' ? [recall] : recall;
    stores.recalls.add(handle, topicId, position);
  }
  for (const [id, decision] of decisions) stores.transactions.conclude(id, decision);
}
