import { MessagingError } from '#libs/messaging/port';
import { Group } from './group.js';

export const MAX_GROUPS = 10_000;
const NAME = /^[A-Za-z0-9._:-]{1,128}$/;

/** Groups whose positions are kept, by name and by the number that the journal uses. */
export class Groups {
  private readonly byName = new Map<string, Group>();
  /** Deleted ones included. */
  private readonly byId = new Map<number, Group>();
  /** Members in broadcast mode, each a group of its own that no journal knows. */
  readonly broadcast = new Set<Group>();
  private lastId = 0;

  constructor(private readonly wake: (group: Group) => void) {}

  get(name: string): Group | undefined {
    return this.byName.get(name);
  }

  /** @throws {MessagingError} `UNKNOWN_GROUP` */
  require(name: string): Group {
    const group = this.byName.get(name);
    if (!group) throw new MessagingError('UNKNOWN_GROUP', `group ${JSON.stringify(name)}`);
    return group;
  }

  get isEmpty(): boolean {
    return this.byId.size === 0;
  }

  /** Those that are there and those that were deleted. */
  withDeleted(): IterableIterator<Group> {
    return this.byId.values();
  }

  /** @throws {MessagingError} `INVALID_ARGUMENT` */
  checkRoomForDeleted(): void {
    if (this.byId.size - this.byName.size >= MAX_GROUPS)
      throw new MessagingError('INVALID_ARGUMENT', `${MAX_GROUPS} groups were deleted already`);
  }

  /** Applies `GROUP_DELETED`. */
  delete(group: Group): void {
    if (group.isDeleted) return;
    group.isDeleted = true;
    this.byName.delete(group.name);
  }

  /** Also when it was deleted. */
  find(id: number): Group | undefined {
    return this.byId.get(id);
  }

  byGroupId(id: number): Group {
    const group = this.byId.get(id);
    if (!group)
      throw new MessagingError('LOG_CORRUPT', `an entry names group id ${id}, which was never created`);
    return group;
  }

  /** Shared groups. */
  all(): IterableIterator<Group> {
    return this.byName.values();
  }

  *everyone(): Generator<Group> {
    yield* this.byName.values();
    yield* this.broadcast;
  }

  /** What to record for a new group. */
  plan(name: string): { id: number; name: string } {
    if (typeof name !== 'string' || !NAME.test(name)) {
      throw new MessagingError(
        'INVALID_ARGUMENT',
        `group ${JSON.stringify(name)}: 1 to 128 letters, digits, dots, colons, underscores or dashes are allowed`,
      );
    }
    if (this.byName.size >= MAX_GROUPS)
      throw new MessagingError('INVALID_ARGUMENT', `there are ${MAX_GROUPS} groups already`);
    return { id: this.lastId + 1, name };
  }

  create(facts: { id: number; name: string }, createdAt: number): Group {
    const group = new Group(facts.id, facts.name, 'shared', createdAt, this.wake);
    this.byName.set(group.name, group);
    this.byId.set(group.id, group);
    this.lastId = Math.max(this.lastId, group.id);
    return group;
  }

  createBroadcast(name: string, createdAt: number): Group {
    return new Group(0, name, 'broadcast', createdAt, this.wake);
  }
}
