import { randomUUID } from 'node:crypto';
import type { BatchHandler, BrokerConsumer, DeliveredMessage, Subscription } from '#libs/messaging/port';
import type { Committed, KafkaClient, Membership, Place, ReadResult } from '../client/kafka-client.js';
import type { ClientLog } from '../client/kafkajs.js';
import { readRecord } from '../sending/records.js';
import type { TopicCatalog } from '../topic-catalog.js';
import { Commits } from './commits.js';
import { Deliveries } from './deliveries.js';
import { OffsetWindow, readNote } from './offset-window.js';
import { PartitionWork } from './partition-work.js';
import { type Terms, takes, termsOf, topicsRead } from './subscription.js';
import { prepareTopics } from './prepare-topics.js';

const DEFAULT_DRAIN_MS = 10_000;
/** What is in flight may be worked off for so long when partitions are divided anew; the others wait. */
const MARGIN_MS = 2_000;
/** A member's flight is told to operators so soon after it has changed. */
const TELL_MS = 50;
/** New topics of a prefix are looked for so often; others do not come by themselves. */
const WATCH_MS = 1_000;
/** Open messages of one partition: beyond them it is read no further. Of a retry topic more, since most of them wait for their time. */
const MAX_OPEN = { messages: 2_048, bytes: 16 * 1024 * 1024 };
const MAX_OPEN_RETRIES = { messages: 10_000, bytes: 64 * 1024 * 1024 };

export type ConsumerTimes = { sessionTimeoutMs: number; heartbeatMs: number; rebalanceTimeoutMs: number };

export type ConsumerParts = {
  client: KafkaClient;
  catalog: TopicCatalog;
  log: ClientLog;
  clientName: string;
  times: ConsumerTimes;
};

/** One member of one group: reads partitions, and hands what they hold to the handler or to whoever pulls. */
export class Consumer implements BrokerConsumer {
  private readonly terms: Terms;
  private readonly works = new Map<string, PartitionWork>();
  private readonly deliveries: Deliveries;
  private readonly commits: Commits;
  private membership: Membership | undefined;
  /** Of Kafka; a broadcast's member has one of its own. */
  private readonly kafkaGroup: string;
  private topics: readonly string[] = [];
  private firstTopics: ReadonlySet<string> = new Set();
  private readonly timers: NodeJS.Timeout[] = [];
  private flightTold = true;
  private closing: Promise<void> | undefined;
  /** Why it has ended by itself; readiness shows it. */
  stoppedBy: Error | undefined;

  private constructor(
    private readonly parts: ConsumerParts,
    subscription: Subscription,
    handler: BatchHandler | undefined,
  ) {
    this.terms = termsOf(subscription);
    const { group, isBroadcast } = this.terms;
    this.kafkaGroup = isBroadcast ? `${group}~${randomUUID()}` : group;
    this.commits = new Commits((offsets) => this.commit(offsets));
    this.deliveries = new Deliveries(this.terms, handler, {
      ...parts,
      commits: this.commits,
      flightChanged: () => (this.flightTold = false),
      finished: (work) => this.readOn(work),
    });
  }

  /** Resolves when it has its place in the group. @throws {MessagingError} for terms that cannot be kept */
  static async start(
    parts: ConsumerParts,
    subscription: Subscription,
    handler?: BatchHandler,
  ): Promise<Consumer> {
    const consumer = new Consumer(parts, subscription, handler);
    await consumer.join();
    return consumer;
  }

  /** Takes up to `maxMessages` now, waiting up to `waitMs` for the first. */
  pull(maxMessages: number, waitMs: number): Promise<readonly DeliveredMessage[]> {
    return this.deliveries.pull(maxMessages, waitMs);
  }

  close(drainMs = DEFAULT_DRAIN_MS): Promise<void> {
    this.closing ??= this.end(drainMs);
    return this.closing;
  }

  private async join(): Promise<void> {
    const { client, catalog, clientName, times } = this.parts;
    await prepareTopics(catalog, this.terms);
    this.topics = topicsRead(this.terms, (await catalog.all()).keys());
    this.firstTopics = new Set(this.topics);
    this.membership = await client.join({
      ...times,
      group: this.kafkaGroup,
      clientId: clientName,
      topics: this.topics,
      maxFetchBytes: 1024 * 1024,
      // What a topic holds that came later was all sent after the group began.
      startOf: (topic) =>
        this.firstTopics.has(topic) && !topic.startsWith('RETRY.') ? this.terms.startAt : 'earliest',
      onAssign: (places) => this.assign(places),
      onRevoke: () => this.revoke(times.rebalanceTimeoutMs - MARGIN_MS),
      onLose: () => this.giveUp(),
      onRecords: (place, result) => this.take(place, result),
      onGap: (place, from, to) => this.skip(place, from, to),
      onStop: (error) => this.stop(error),
    });
    this.timers.push(
      setInterval(() => void this.tellFlight(), TELL_MS),
      setInterval(() => void this.watchTopics(), WATCH_MS),
    );
    for (const timer of this.timers) timer.unref();
  }

  private assign(places: readonly Committed[]): void {
    for (const { topic, partition, offset, note } of places) {
      const bounds = topic.startsWith('RETRY.') ? MAX_OPEN_RETRIES : MAX_OPEN;
      const window = new OffsetWindow(offset, readNote(note));
      this.works.set(keyOf({ topic, partition }), new PartitionWork({ topic, partition }, window, bounds));
    }
    this.deliveries.open();
  }

  private async revoke(drainMs: number): Promise<void> {
    await this.deliveries.drain(drainMs, 'verdicts');
    await this.commits.settled();
    this.giveUp();
  }

  private giveUp(): void {
    for (const work of this.works.values()) work.isGone = true;
    this.works.clear();
    this.deliveries.loseAll();
  }

  private stop(error: Error): void {
    this.stoppedBy = error;
    this.parts.log.warn({ group: this.terms.group, error: error.message }, 'a consumer has ended by itself');
  }

  private take(place: Place, { records, nextOffset }: ReadResult): void {
    const work = this.works.get(keyOf(place));
    if (work === undefined) return;
    const from = records[0]?.offset ?? nextOffset;
    for (const record of records) {
      if (!work.window.take(record.offset)) continue;
      const read = readRecord(record);
      const { topic, tag } = read.message;
      // A dead letter's tombstone is no message; of what was subscribed to by its dead-letter topic, that is the topic.
      const seenAs = place.topic.startsWith('DLQ.') ? `%DLQ%${place.topic.slice(4)}` : topic;
      if (record.value === null || !takes(this.terms, seenAs, tag)) {
        work.window.finish(record.offset);
        continue;
      }
      if (seenAs !== topic)
        Object.assign(read.message, { topic: seenAs, partition: place.partition, offset: record.offset });
      this.deliveries.add(work, record.offset, read);
    }
    work.window.readTo(from, nextOffset, new Set(records.map(({ offset }) => offset)));
    this.flightTold = false;
    if (work.isFull && !work.isPaused) {
      work.isPaused = true;
      this.membership?.pause(place);
    }
  }

  private readOn(work: PartitionWork): void {
    if (!work.isPaused || !work.hasRoom || work.isGone) return;
    work.isPaused = false;
    this.membership?.resume(work.place);
  }

  private skip(place: Place, from: number, to: number): void {
    const { group } = this.terms;
    this.parts.log.warn({ group, ...place, from, to }, 'messages are gone that the group has not seen');
    this.works.get(keyOf(place))?.window.readTo(from, to, new Set());
  }

  private async commit(offsets: readonly Committed[]): Promise<void> {
    if (!this.terms.isBroadcast) await this.membership?.commit(offsets);
  }

  /** Operators see from the notes what is read and in flight. Resolves when they say how it is now. */
  async tellFlight(): Promise<void> {
    if (this.flightTold) return this.commits.settled();
    this.flightTold = true;
    const told = [...this.works.values()].map((work) => this.commits.add(work));
    await Promise.all(told).catch(() => {
      // The partitions are somebody else's, or the next time tells.
      this.flightTold = false;
    });
  }

  private async watchTopics(): Promise<void> {
    if (!this.terms.filters.some(({ topic }) => topic.endsWith('*'))) return;
    try {
      const topics = topicsRead(this.terms, (await this.parts.catalog.all()).keys());
      if (topics.join() === this.topics.join() || this.closing !== undefined) return;
      this.topics = topics;
      this.membership?.changeTopics(topics);
    } catch {
      // The cluster is away; the next look tells.
    }
  }

  private async end(drainMs: number): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    await this.deliveries.drain(drainMs, 'handlers');
    for (const work of this.works.values()) {
      work.inFlight = 0;
      this.commits.add(work).catch(() => {
        // Delivered again to the next member.
      });
    }
    await this.commits.settled();
    this.giveUp();
    await this.membership?.leave();
    if (!this.terms.isBroadcast) return;
    await this.parts.client.deleteGroup(this.kafkaGroup).catch(() => {
      // Kafka forgets it by itself.
    });
  }
}

const keyOf = ({ topic, partition }: Place): string => `${topic}/${partition}`;
