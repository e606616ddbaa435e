import type { GroupInfo } from '#libs/messaging/port';
import type { Block } from '../journal/block.js';
import type { Partition, PartitionListener } from '../topics/topics.js';
import { PriorityLookahead } from './priority-lookahead.js';
import { SettledWindow } from './settled-window.js';
import type { HeldBack, Tries } from './tries.js';

/** A message in its partition. */
export type Place = { readonly cursor: Cursor; readonly offset: number };

/** A message that goes out before new ones: its lease was lost, its wait is over, or its key became free. */
export type Ready = Place & Tries;

/** What a place in a partition, and a delivery from it, know of the group that they are of. */
export interface CursorGroup {
  readonly id: number;
  readonly name: string;
  readonly mode: 'shared' | 'broadcast';
  readonly order: 'unordered' | 'by-key';
  /** Ordered groups: failures after which a message may still hold its key back. */
  readonly blockTimes: number;
  /** What was dropped before it was settled. */
  readonly missed: GroupInfo['missed'];
  /** A cursor has something to read. */
  activate(cursor: Cursor): void;
  wake(): void;
  makeReady(item: Ready): void;
  /** It is ready when it is due. */
  putOff(item: Place & HeldBack): void;
  /** Moves messages whose wait is over to the ready ones. */
  releaseDue(nowMs: number): void;
  /** The first of a lane is done with, or cannot be delivered any more: the next one's turn has come. */
  freeLane(topic: string, key: string | undefined, place: Place): void;
  /** The same for one whose record cannot be read, and so whose key is not known. */
  freeUnread(place: Place): void;
  /** Messages of the cursor no longer stand in any lane. */
  leaveLanes(cursor: Cursor): void;
  /** A member is done with a message, and may be given another one. */
  settledOne(): void;
}

/** A group's place in one partition. */
export class Cursor implements PartitionListener {
  settled: SettledWindow;
  /** The next offset to look at. */
  next: number;
  /** False while the group's members do not ask for its topic: then nothing of it is delivered. */
  isWanted = true;
  /** True while it stands in the group's queue of cursors that have something to read. */
  queued = false;
  /** True while a block is read from a file for it. */
  loading = false;
  /** What it stands at because it cannot be read from its file. */
  unreadable: { offset: number; error: string } | undefined;
  private loadedIfAny: Block | undefined;
  /** Settled, not yet in the journal. */
  readonly unrecorded: number[] = [];
  /** Where the partition ended when the broker started: what lies before it may have been under way when the last run ended. */
  endAtStart = 0;
  /** Deliveries of those that were noted as under way. */
  noted = 0;
  private lookaheadIfAny: PriorityLookahead | undefined;
  /** By offset: those that failed, or whose consumer was lost, and that were not delivered again since. */
  readonly heldBack = new Map<number, HeldBack>();

  constructor(
    readonly group: CursorGroup,
    readonly partition: Partition,
    start: number,
    /** A group's own retries are not filtered by tag. */
    readonly isRetry: boolean,
  ) {
    this.settled = new SettledWindow(start);
    this.next = start;
  }

  /** The block that was read for it, kept until it was used. */
  get loaded(): Block | undefined {
    return this.loadedIfAny;
  }

  set loaded(block: Block | undefined) {
    if (this.loadedIfAny) this.loadedIfAny.users -= 1;
    if (block) block.users += 1;
    this.loadedIfAny = block;
  }

  get readAhead(): number {
    return this.lookaheadIfAny?.size ?? 0;
  }

  /** What was read ahead because priorities differ; made when it is first asked for. */
  get lookahead(): PriorityLookahead {
    return (this.lookaheadIfAny ??= new PriorityLookahead());
  }

  advanced(): void {
    this.group.activate(this);
  }

  get hasMore(): boolean {
    return this.readAhead > 0 || this.hasUnread;
  }

  /** Whether there are messages that were not looked at, and room to remember that they are settled. */
  get hasUnread(): boolean {
    return this.next < this.partition.visibleEnd && this.settled.hasRoomFor(this.next);
  }

  /** Messages that are not settled, those included that are on their way to the disk: a timer that fires is always in one count or the other. */
  get lag(): number {
    return Math.max(0, this.partition.end - this.settled.committed - this.settled.ahead);
  }

  /** The group is done with an offset; a partition that stood at the bound of what may stay unsettled goes on. False when it was before. */
  settle(offset: number): boolean {
    if (!this.settled.settle(offset)) return false;
    if (this.heldBack.size > 0) this.heldBack.delete(offset);
    if (!this.queued) this.group.activate(this);
    return true;
  }

  /** A message that is to be tried again keeps its tries until then. One that was never delivered has none. */
  holdBack(offset: number, { attempt, history, lost }: Tries, dueAtMs = 0): void {
    if (attempt > 1) this.heldBack.set(offset, { attempt, history, lost, dueAtMs });
  }

  /** Goes back to the first message that is not settled. What is settled beyond it stays so. */
  rewind(): void {
    this.next = this.settled.committed;
    this.lookaheadIfAny?.clear();
  }

  /** Starts anew at `offset`; whatever was known of later offsets is forgotten. */
  reset(offset: number): void {
    this.settled = new SettledWindow(offset);
    this.next = offset;
    this.unrecorded.length = 0;
    this.unreadable = undefined;
    this.lookaheadIfAny?.clear();
    this.heldBack.clear();
    this.group.leaveLanes(this);
  }

  /** Retention drops what lies before `start`: the group is done with it. What is in flight stays with its consumer. */
  skipTo(start: number): void {
    this.next = Math.max(this.next, start);
    while (this.settled.committed < start) this.settled.settle(this.settled.committed);
    this.lookaheadIfAny?.dropBefore(start);
    for (const offset of [...this.heldBack.keys()]) if (offset < start) this.heldBack.delete(offset);
  }
}
