import {
  type AutomaticRedrive,
  MessagingError,
  type Subscription,
  type TopicFilter,
  retryTopic,
  checkTopicName,
} from '#libs/messaging/port';
import type { BrokerHost } from '../host.js';
import { EntryType } from '../journal/format.js';
import { type Partition, type Topic, type Topics } from '../topics/topics.js';
import { type Consumer, boundsOf } from './consumer.js';
import { type Group, blockTimesOf } from './group.js';
import { recordedPlace } from './group-facts.js';
import type { Groups } from './groups.js';
import type { Interest } from './interests.js';
import type { Leases } from './leases.js';
import type { Starts } from './start-offsets.js';

export type Membership = { readonly group: Group; readonly consumer: Consumer };

/** Who is in which group, and in which partitions a group has its places. */
export class Memberships {
  constructor(
    private readonly host: BrokerHost,
    private readonly stores: { readonly topics: Topics; readonly groups: Groups },
    private readonly leases: Leases,
  ) {}

  /**
   * Adds a member to a group, which is made when it is not there. Members of a group subscribe alike but for what they
   * take: in a rollout the new version may take a tag or a topic that the old one does not know.
   * @param starts where it begins in partitions that it has no place in, where that is neither end
   * @throws {MessagingError} `INVALID_ARGUMENT`
   */
  join(subscription: Subscription, starts: Starts, consumerFor: (group: Group) => Consumer): Membership {
    checkSubscription(subscription);
    // Before the group is made, which is on disk and has a backlog from then on: a refusal leaves nothing behind.
    boundsOf(subscription);
    const plain = subscription.topics.map(({ topic }) => topic).filter(isPlainName);
    this.stores.topics.checkRoom(plain);
    this.stores.groups.get(subscription.group)?.interests.checkRoomFor(subscription.topics);
    const group = this.groupFor(subscription);
    const consumer = consumerFor(group);
    if (group.members.length > 0 && !alike(group, subscription)) {
      throw new MessagingError(
        'INVALID_ARGUMENT',
        `group ${group.name} has members with another subscription; members of a group have the same order, priorities and redrives`,
      );
    }
    group.subscribe(subscription);
    consumer.interest = this.interestIn(group, subscription.topics);
    // Not before its consumer was made: one that is refused must leave nothing behind.
    if (group.mode === 'broadcast') this.stores.groups.broadcast.add(group);
    const { topics } = this.stores;
    for (const topic of plain) this.host.topic(topic);
    this.follow(
      group,
      [...topics.all()].filter((topic) => group.wants(topic)),
      starts,
    );
    group.members.push(consumer);
    group.interests.join(consumer.interest, this.host.monotonicMs());
    for (const cursor of group.cursors.values()) group.activate(cursor);
    group.wake();
    return { group, consumer };
  }

  /** What the group knows of those who take the same; it is on disk before it counts, as a restart must not forget it. */
  private interestIn(group: Group, filters: readonly TopicFilter[]): Interest {
    const { interests } = group;
    const known = interests.find(filters);
    if (known) return known;
    this.setInterests(group, [...interests.all.map((each) => each.filters), filters]);
    return interests.find(filters)!;
  }

  private setInterests(group: Group, all: (readonly TopicFilter[])[]): void {
    if (group.mode === 'broadcast') group.takeInterest(all);
    else this.host.commit(EntryType.INTERESTS, { groupId: group.id, interests: all });
  }

  /** Gives up what members took once who have been gone for long, while others are there. */
  forgetInterests(group: Group): void {
    const kept = group.interests.remembered(this.host.monotonicMs());
    if (!kept) return;
    this.setInterests(
      group,
      kept.map(({ filters }) => filters),
    );
    group.wake();
  }

  private groupFor({ group: name, mode }: Subscription): Group {
    const { groups } = this.stores;
    const known = groups.get(name);
    if (known && mode !== 'broadcast') return known;
    const facts = groups.plan(name);
    if (mode === 'broadcast') return groups.createBroadcast(name, this.host.journal.end);
    this.host.commit(EntryType.GROUP_CREATED, facts);
    return groups.require(name);
  }

  /**
   * Takes a member out; what it had goes to the others at once. `isLost`: it did not leave by itself, so that what it had
   * may be what ended it.
   */
  leave({ group, consumer }: Membership, { isLost }: { isLost: boolean }): void {
    const place = group.members.indexOf(consumer);
    if (place >= 0) {
      group.members.splice(place, 1);
      group.interests.leave(consumer.interest, this.host.monotonicMs());
    }
    const had = consumer.inFlight.all();
    if (isLost) this.leases.lose(had, 'the connection of its consumer was lost');
    else this.leases.giveBack(had);
    if (group.mode !== 'broadcast') return;
    for (const [partition, cursor] of group.cursors) {
      const listener = partition.listeners.indexOf(cursor);
      if (listener >= 0) partition.listeners.splice(listener, 1);
    }
    this.stores.groups.broadcast.delete(group);
  }

  /** Gives the group a place in every partition of these topics that it has none in: `from` there, or at one of its ends. */
  follow(group: Group, topics: Iterable<Topic>, from?: Starts): void {
    const starts: { partition: Partition; offset: number }[] = [];
    for (const topic of topics) {
      const fromStart =
        group.startAt !== 'latest' ||
        topic.createdAt > group.createdAt ||
        topic.name === retryTopic(group.name);
      for (const partition of topic.partitions) {
        if (group.cursors.has(partition)) continue;
        const end = fromStart && group.mode === 'shared' ? partition.start : partition.end;
        // Retention may have dropped some of it since it was found.
        starts.push({ partition, offset: Math.max(from?.get(partition) ?? end, partition.start) });
      }
    }
    if (starts.length === 0) return;
    if (group.mode === 'broadcast') {
      for (const { partition, offset } of starts) group.addCursor(partition, offset);
    } else {
      const cursors = starts.map(({ partition, offset }) => recordedPlace(partition, offset));
      this.host.commit(EntryType.CURSORS_CREATED, { groupId: group.id, cursors });
    }
    for (const cursor of group.cursors.values()) group.activate(cursor);
  }
}

function checkSubscription(subscription: Subscription): void {
  const { topics, order, mode } = subscription;
  for (const { topic } of topics) if (isPlainName(topic)) checkTopicName(topic);
  if (order === 'by-key' && mode === 'broadcast') {
    throw new MessagingError('INVALID_ARGUMENT', 'a broadcast has no retries, and so no order by key');
  }
  if (subscription.automaticRedrive) checkAutomaticRedrive(subscription.automaticRedrive, mode);
  if (subscription.priorities === 'weighted' && order === 'by-key') {
    throw new MessagingError('INVALID_ARGUMENT', 'an order by key does not look at priorities');
  }
  if (subscription.whenFailing === undefined) return;
  if (order !== 'by-key') {
    throw new MessagingError('INVALID_ARGUMENT', 'whenFailing is for subscriptions in order by key');
  }
  const times: unknown = blockTimesOf(subscription);
  if (times !== Infinity && !(Number.isInteger(times) && (times as number) >= 0)) {
    throw new MessagingError('INVALID_ARGUMENT', `blockTimes is a whole number from 0, not ${String(times)}`);
  }
}

function checkAutomaticRedrive(
  { coolDownMs, maxPerMessage = 1, ratePerSecond = 1 }: AutomaticRedrive,
  mode: Subscription['mode'],
): void {
  const wrong: [boolean, string][] = [
    [mode === 'broadcast', 'a broadcast has no dead letters'],
    [!(coolDownMs >= 1_000), 'coolDownMs is at least 1,000'],
    [
      !(Number.isInteger(maxPerMessage) && maxPerMessage >= 1 && maxPerMessage <= 100),
      'maxPerMessage is from 1 to 100',
    ],
    [!(ratePerSecond >= 1 && ratePerSecond <= 10_000), 'ratePerSecond is from 1 to 10,000'],
  ];
  const why = wrong.find(([isWrong]) => isWrong)?.[1];
  if (why) throw new MessagingError('INVALID_ARGUMENT', `automaticRedrive: ${why}`);
}

const isPlainName = (topic: string): boolean => !topic.endsWith('*') && !topic.startsWith('%');

function alike(group: Group, subscription: Subscription): boolean {
  return (
    (subscription.order ?? 'unordered') === group.order &&
    (subscription.priorities ?? 'strict') === group.priorities &&
    blockTimesOf(subscription) === group.blockTimes &&
    JSON.stringify(subscription.automaticRedrive) === JSON.stringify(group.automaticRedrive)
  );
}
