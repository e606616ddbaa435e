import { MessagingError, type TopicFilter, deadLetterTopic } from '#libs/messaging/port';
import { tagHashOf } from '../topics/text-hash.js';
import { isInternalTopic } from '../topics/topics.js';

/** Different subscriptions that a group knows at a time: those of its members, and those that it still remembers. */
const MAX_INTERESTS = 16;
/**
 * What nobody in a group takes any more is still the group's for so long, while it has members: an old version and a new
 * one run side by side in a rollout, and either may crash or lose its connection meanwhile.
 */
export const REMEMBERED_MS = 10 * 60_000;

export type TagFilter = { names: ReadonlySet<string>; hashes: ReadonlySet<number> };

/** What those members of a group take that subscribed alike. */
export class Interest {
  readonly name: string;
  members = 0;
  /** Since when nobody has had it, in the milliseconds of leases. */
  abandonedAtMs = 0;

  constructor(
    private readonly group: string,
    readonly filters: readonly TopicFilter[],
  ) {
    this.name = nameOf(filters);
  }

  /** Whether it takes messages of this topic. By a wildcard, a group never takes its own dead letters, nor by `*` what the broker keeps for other groups. */
  wants(topic: string): boolean {
    return this.filters.some((filter) => this.matches(filter, topic));
  }

  takes(topic: string, tag: string): boolean {
    return this.filters.some(
      (filter) => this.matches(filter, topic) && (!filter.tags?.length || filter.tags.includes(tag)),
    );
  }

  /** The filters that are for a topic. */
  of(topic: string): TopicFilter[] {
    return this.filters.filter((filter) => this.matches(filter, topic));
  }

  private matches({ topic: pattern }: TopicFilter, topic: string): boolean {
    if (!pattern.endsWith('*')) return pattern === topic;
    if (isInternalTopic(topic) && !pattern.startsWith('%')) return false;
    return topic.startsWith(pattern.slice(0, -1)) && topic !== deadLetterTopic(this.group);
  }
}

/**
 * All that a group takes: the sum of what its members take, and of what they took a short while ago. It is in the journal,
 * or the first member that comes back after a restart of the broker would decide for all.
 */
export class Interests {
  private list: readonly Interest[] = [];
  private readonly tagFilters = new Map<string, TagFilter | undefined>();

  constructor(private readonly group: string) {}

  get all(): readonly Interest[] {
    return this.list;
  }

  /** Whether a message may be for some of the members and not for others. */
  get differ(): boolean {
    return this.list.length > 1;
  }

  find(filters: readonly TopicFilter[]): Interest | undefined {
    const name = nameOf(filters);
    return this.list.find((interest) => interest.name === name);
  }

  /** @throws {MessagingError} `INVALID_ARGUMENT` when there are too many already */
  checkRoomFor(filters: readonly TopicFilter[]): void {
    if (this.list.length < MAX_INTERESTS || this.find(filters)) return;
    throw new MessagingError(
      'INVALID_ARGUMENT',
      `group ${this.group}: its members of the last ${REMEMBERED_MS / 60_000} minutes had ${MAX_INTERESTS} different subscriptions, and that is the bound`,
    );
  }

  /** From now on these. */
  set(all: readonly (readonly TopicFilter[])[]): void {
    this.list = all.map((filters) => this.find(filters) ?? new Interest(this.group, filters));
    this.tagFilters.clear();
  }

  wants(topic: string): boolean {
    return this.list.some((interest) => interest.wants(topic));
  }

  takersOf(topic: string, tag: string): Interest[] {
    return this.list.filter((interest) => interest.takes(topic, tag));
  }

  /** The tags taken from a topic; undefined: all. */
  tagsOf(topic: string): TagFilter | undefined {
    if (this.tagFilters.has(topic)) return this.tagFilters.get(topic);
    const filters = this.list.flatMap((interest) => interest.of(topic));
    const all = filters.length === 0 || filters.some(({ tags }) => !tags?.length);
    const names = new Set(filters.flatMap(({ tags }) => tags ?? []));
    const filter = all ? undefined : { names, hashes: new Set([...names].map(tagHashOf)) };
    this.tagFilters.set(topic, filter);
    return filter;
  }

  /** A member comes; the first of a group begins the time for which the others' interests are remembered. */
  join(interest: Interest, nowMs: number): void {
    if (this.list.every(({ members }) => members === 0))
      for (const each of this.list) each.abandonedAtMs = nowMs;
    interest.members += 1;
  }

  leave(interest: Interest, nowMs: number): void {
    interest.members -= 1;
    interest.abandonedAtMs = nowMs;
  }

  /** What stays when those are forgotten that nobody has had for long; undefined when all do. */
  remembered(nowMs: number): Interest[] | undefined {
    if (!this.differ || this.list.every(({ members }) => members === 0)) return undefined;
    const kept = this.list.filter(
      ({ members, abandonedAtMs }) => members > 0 || nowMs - abandonedAtMs < REMEMBERED_MS,
    );
    return kept.length < this.list.length ? kept : undefined;
  }
}

const nameOf = (filters: readonly TopicFilter[]): string =>
  JSON.stringify(filters.map(({ topic, tags }) => [topic, [...(tags ?? [])].sort()]).sort());
