import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker } from 'kafkajs/src/cluster/index.js';
import { MessagingError } from '#libs/messaging/port';
import { assignByNumber, decodePlaces, decodeTopics, encodePlaces, encodeTopics } from './assignment.js';
import { isLostMembership, isRebalance, messagingError } from './failures.js';
import type { Committed, Membership, MembershipOptions, Place } from './kafka-client.js';
import type { LogReader } from './log-reader.js';
import { PartitionFetcher } from './partition-fetcher.js';
import { byTopic } from './places.js';

const PROTOCOL = 'stampede-by-number';
/** Between two tries to join while the coordinator is away. */
const REJOIN_MS = 500;
/** For so long the first time: a cluster that has just started still makes what it keeps groups in. */
const JOIN_MS = 20_000;
const COMMIT_TRIES = 3;
/** With a wrong password it will not get better. */
const FATAL = new Set(['AUTHENTICATION_FAILED', 'INVALID_ARGUMENT']);

type Generation = { coordinator: Broker; generationId: number; memberId: string };

/**
 * A member of a consumer group on the requests of Kafka's group protocol, instead of kafkajs's consumer. That one hears of a
 * new division between two fetches only, and joins again at once: while a batch is worked off it either misses its sign of
 * life or gives its partitions up with the work still going on (tulios/kafkajs #1720, #1527, #659); and it has a fetch wait for
 * the slowest of its parallel batches (#1764). Here signs of life have a timer of their own, records are handed over without
 * waiting for what becomes of them, and the next generation is joined when `onRevoke` has resolved:
 *
 *     join → sync → [fetch … fetch]  ← division in progress, told by a sign of life
 *       ↑                 onRevoke: no new records, what is in flight is finished and committed
 *       └────────────────────┘
 */
export class GroupMember implements Membership {
  private generation: Generation | undefined;
  private memberId = '';
  private topics: readonly string[];
  private leaving = false;
  private heartbeats: NodeJS.Timeout | undefined;
  private heardAtMs = 0;
  private fetcher: PartitionFetcher | undefined;
  /** Why the generation is over; set once per generation. */
  private ending: 'division' | 'lost' | undefined;
  private ended: Promise<void> = Promise.resolve();
  private leavingEnds: Promise<void> | undefined;
  private hasLeft: () => void = () => undefined;
  /** Resolves when it has left the group by `leave`. */
  readonly left = new Promise<void>((resolve) => (this.hasLeft = resolve));

  private constructor(
    private readonly reader: LogReader,
    private readonly options: MembershipOptions,
    private readonly existing: (topics: readonly string[]) => Promise<string[]>,
    private readonly closed: () => Promise<void>,
  ) {
    this.topics = options.topics;
  }

  /** Resolves with the first assignment. `existing` filters topics: one that is not there fails a fetch for all of them. */
  static async join(
    reader: LogReader,
    options: MembershipOptions,
    existing: (topics: readonly string[]) => Promise<string[]>,
    closed: () => Promise<void>,
  ): Promise<GroupMember> {
    const member = new GroupMember(reader, options, existing, closed);
    try {
      await member.enterAgain(Date.now() + JOIN_MS);
    } catch (error) {
      member.stopHeartbeats();
      await closed();
      throw messagingError(error, `group ${options.group} could not be joined`);
    }
    member.ended = member.run();
    return member;
  }

  async commit(offsets: readonly Committed[]): Promise<void> {
    const { group } = this.options;
    for (let tries = 1; ; tries++) {
      const { generation } = this;
      if (generation === undefined)
        throw new MessagingError('LEASE_LOST', `not a member of group ${group} now`);
      try {
        await generation.coordinator.offsetCommit({
          groupId: group,
          groupGenerationId: generation.generationId,
          memberId: generation.memberId,
          topics: byTopic(offsets, ({ partition, offset, note }) => ({
            partition,
            offset: String(offset),
            metadata: note,
          })),
        });
        return;
      } catch (error) {
        if (isLostMembership(error)) this.end('lost');
        if (isLostMembership(error) || isRebalance(error)) {
          throw new MessagingError('LEASE_LOST', `the partitions of group ${group} are divided anew`, {
            cause: error,
          });
        }
        if (tries === COMMIT_TRIES) throw messagingError(error, `group ${group} could not commit`);
        await this.findCoordinator().catch(() => {
          // The next try tells.
        });
      }
    }
  }

  pause(place: Place): void {
    this.fetcher?.pause(place);
  }

  resume(place: Place): void {
    this.fetcher?.resume(place);
  }

  changeTopics(topics: readonly string[]): void {
    this.topics = topics;
    this.end('division');
  }

  leave(): Promise<void> {
    this.leaving = true;
    this.fetcher?.stop();
    this.leavingEnds ??= this.goAway();
    return this.leavingEnds;
  }

  private async goAway(): Promise<void> {
    await this.ended;
    const { generation } = this;
    this.stopHeartbeats();
    this.generation = undefined;
    if (generation !== undefined) {
      const { coordinator, memberId } = generation;
      await coordinator.leaveGroup({ groupId: this.options.group, memberId }).catch(() => {
        // It is left when the session runs out.
      });
    }
    await this.closed();
    this.hasLeft();
  }

  /** Generation after generation, until it leaves. Never rejects. */
  private async run(): Promise<void> {
    try {
      while (!this.leaving) {
        await this.fetcher?.run();
        if (this.leaving) return;
        if (this.ending === 'lost') this.lose();
        else await this.options.onRevoke();
        if (!this.leaving) await this.enterAgain();
      }
    } catch (error) {
      this.lose();
      this.leaving = true;
      this.options.onStop(messagingError(error, `group ${this.options.group} has no member here any more`));
    }
  }

  private lose(): void {
    this.stopHeartbeats();
    this.generation = undefined;
    this.options.onLose();
  }

  private async enterAgain(deadlineMs = Infinity): Promise<void> {
    while (!this.leaving) {
      try {
        return await this.enter();
      } catch (error) {
        this.stopHeartbeats();
        this.generation = undefined;
        if (isLostMembership(error)) this.memberId = '';
        else if (FATAL.has(messagingError(error, '').code) || Date.now() > deadlineMs) throw error;
        else if (!isRebalance(error)) await sleep(REJOIN_MS);
      }
    }
  }

  /** Joins, divides if it is the one to divide, and begins where the group is. Errors are kafkajs's own. */
  private async enter(): Promise<void> {
    const { cluster } = this.reader;
    const { group, sessionTimeoutMs, rebalanceTimeoutMs } = this.options;
    this.stopHeartbeats();
    await cluster.connect();
    const topics = await this.existing(this.topics);
    await this.reader.lookAt(topics);
    const coordinator = await cluster.findGroupCoordinator({ groupId: group });
    const joined = await coordinator.joinGroup({
      groupId: group,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: rebalanceTimeoutMs,
      memberId: this.memberId,
      groupProtocols: [{ name: PROTOCOL, metadata: encodeTopics(topics) }],
    });
    const { generationId, memberId } = joined;
    this.memberId = memberId;
    const groupAssignment = joined.leaderId === memberId ? await this.divide(joined.members) : [];
    const request = { groupId: group, generationId, memberId, groupAssignment };
    const { memberAssignment } = await coordinator.syncGroup(request);
    this.generation = { coordinator, generationId, memberId };
    this.ending = undefined;
    this.startHeartbeats();
    const places = decodePlaces(memberAssignment);
    const starts = await this.startsOf(places, coordinator);
    this.fetcher = new PartitionFetcher(this.reader, starts, this.options, () => this.end('division'));
    if (this.ending !== undefined || this.leaving) this.fetcher.stop();
    this.options.onAssign(starts);
  }

  private async divide(
    members: readonly { memberId: string; memberMetadata: Buffer }[],
  ): Promise<{ memberId: string; memberAssignment: Buffer }[]> {
    const wishes = members.map(({ memberId, memberMetadata }) => ({
      memberId,
      topics: decodeTopics(memberMetadata),
    }));
    const own = [...this.reader.cluster.targetTopics];
    const all = await this.existing([...new Set([...own, ...wishes.flatMap(({ topics }) => topics)])]);
    await this.reader.lookAt(all);
    const assigned = assignByNumber(wishes, (topic) =>
      all.includes(topic) ? this.reader.partitionsOf(topic) : 0,
    );
    return [...assigned].map(([memberId, places]) => ({ memberId, memberAssignment: encodePlaces(places) }));
  }

  /** A partition without a place gets one now, and for good: a message that comes before the first commit is not passed over. */
  private async startsOf(places: readonly Place[], coordinator: Broker): Promise<Committed[]> {
    if (places.length === 0) return [];
    const { group } = this.options;
    const topics = byTopic(places, ({ partition }) => ({ partition }));
    const { responses } = await coordinator.offsetFetch({ groupId: group, topics });
    const known = responses.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, offset, metadata }) => ({
        topic,
        partition,
        offset: Number(offset),
        note: metadata ?? '',
      })),
    );
    const fresh = known.filter(({ offset }) => offset < 0);
    for (const topic of new Set(fresh.map((each) => each.topic))) {
      const own = fresh.filter((each) => each.topic === topic);
      const at = this.options.startOf(topic);
      const offsets = await this.reader.offsets(
        topic,
        at,
        own.map(({ partition }) => partition),
      );
      for (const each of own) each.offset = offsets.get(each.partition) ?? 0;
    }
    if (fresh.length > 0) await this.commit(fresh);
    return known;
  }

  private startHeartbeats(): void {
    this.heardAtMs = Date.now();
    this.heartbeats = setInterval(() => void this.heartbeat(), this.options.heartbeatMs);
  }

  private stopHeartbeats(): void {
    clearInterval(this.heartbeats);
    this.heartbeats = undefined;
  }

  private async heartbeat(): Promise<void> {
    const { generation } = this;
    if (generation === undefined) return;
    const { coordinator, generationId, memberId } = generation;
    try {
      const groupId = this.options.group;
      await coordinator.heartbeat({ groupId, groupGenerationId: generationId, memberId });
      this.heardAtMs = Date.now();
    } catch (error) {
      if (generation !== this.generation) return;
      if (isRebalance(error)) {
        // The coordinator has heard it all the same.
        this.heardAtMs = Date.now();
        return this.end('division');
      }
      if (isLostMembership(error)) return this.end('lost');
      // Away, or another node is the coordinator now. The others go by the session, so does it.
      if (Date.now() - this.heardAtMs > this.options.sessionTimeoutMs) return this.end('lost');
      await this.findCoordinator().catch(() => {
        // The next sign of life tries again.
      });
    }
  }

  private async findCoordinator(): Promise<void> {
    const { generation } = this;
    const coordinator = await this.reader.cluster.findGroupCoordinator({ groupId: this.options.group });
    if (generation !== undefined && generation === this.generation) generation.coordinator = coordinator;
  }

  private end(why: 'division' | 'lost'): void {
    if (why === 'lost') this.memberId = '';
    if (this.ending === undefined || why === 'lost') this.ending = why;
    this.fetcher?.stop();
  }
}
