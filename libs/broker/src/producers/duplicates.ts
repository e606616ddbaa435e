import type { OutgoingMessage, SendReceipt } from '#libs/messaging/port';
import type { BrokerHost } from '../host.js';
import type { Block } from '../journal/block.js';
import { isTimerOf } from '../timers/handles.js';
import type { TimerStore } from '../timers/timer-store.js';
import type { RecentIds } from '../topics/recent-ids.js';
import { provenanceOf } from '../topics/provenance.js';
import { NO_PARTITION, recordAt } from '../topics/record.js';
import { hashOf } from '../topics/text-hash.js';
import type { Topic, Topics } from '../topics/topics.js';
import { overflowReceipt, storedReceipt, waitingReceipt } from './receipts.js';

/** Blocks that were read so that ids in them can be compared, by the position asked for. */
export type Loaded = ReadonlyMap<number, Block>;

/** A record that is stored already, and what its sender is told. */
export type Duplicate = { position: number; receipt: SendReceipt };

export type DuplicateStores = {
  readonly topics: Topics;
  readonly recentIds: RecentIds;
  readonly timers: TimerStore;
};

/** Recognises messages that their topic has already, by id or by timer handle. */
export class Duplicates {
  constructor(
    private readonly host: Pick<BrokerHost, 'journal'>,
    private readonly stores: DuplicateStores,
  ) {}

  /** The one that is stored; or the position of a record that has to be read to know; or undefined. */
  find(
    message: OutgoingMessage,
    idHash: number,
    topic: Topic,
    now: number,
    loaded: Loaded | undefined,
  ): Duplicate | number | undefined {
    const { recentIds, timers } = this.stores;
    if (message.id !== undefined) {
      const candidates = recentIds.candidates(idHash);
      const found =
        candidates &&
        this.search(
          candidates,
          loaded,
          (block, position) =>
            recordAt.id(block, position) === message.id && this.topicOf(block, position) === topic,
        );
      if (found !== undefined) return found;
    }
    if (!isDelayed(message, now)) return undefined;
    const handle = message.timerId ?? message.id;
    if (handle === undefined) return undefined;
    return this.search(
      timers.candidates(hashOf(handle)),
      loaded,
      (block, position) =>
        recordAt.topicId(block, position) === topic.id && isTimerOf(block, position, handle),
    );
  }

  private search(
    candidates: readonly number[] | undefined,
    loaded: Loaded | undefined,
    isIt: (block: Block, position: number) => boolean,
  ): Duplicate | number | undefined {
    if (!candidates) return undefined;
    for (const position of candidates) {
      // Dropped by retention, and so beyond the window.
      if (position < this.host.journal.start) continue;
      const block = loaded?.get(position) ?? this.host.journal.find(position);
      if (!block) return position;
      if (isIt(block, position)) return { position, receipt: this.receiptOf(block, position) };
    }
    return undefined;
  }

  /** Where its sender wanted it: a full topic's message is among a group's dead letters. */
  private topicOf(block: Block, position: number): Topic | undefined {
    const { topics } = this.stores;
    const topic = topics.byTopicId(recordAt.topicId(block, position));
    if (topic.deadLettersOf === undefined) return topic;
    return topics.get(provenanceOf(block, position)?.origin.topic ?? topic.name);
  }

  /** What the sender of the record at `position` is told when it sends it again. */
  receiptOf(block: Block, position: number): SendReceipt {
    const id = recordAt.id(block, position);
    const number = recordAt.partition(block, position);
    const topic = this.stores.topics.byTopicId(recordAt.topicId(block, position));
    if (topic.deadLettersOf !== undefined) {
      const origin = provenanceOf(block, position)?.origin.topic ?? topic.name;
      return { ...overflowReceipt(id, origin), duplicate: true };
    }
    if (number === NO_PARTITION) return { ...waitingReceipt(id, topic), duplicate: true };
    return { ...storedReceipt(id, topic, number, recordAt.offset(block, position)), duplicate: true };
  }
}

/** Whether it waits in the timers first. */
export const isDelayed = (message: OutgoingMessage, now: number): boolean =>
  message.deliverAtMs !== undefined && message.deliverAtMs > now;
