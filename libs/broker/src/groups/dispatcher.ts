import type { Cursor } from '../positions/cursor.js';
import { FIRST_TRY } from '../positions/tries.js';
import { BlockReads } from './block-reads.js';
import type { Group } from './group.js';
import { HandOver } from './hand-over.js';
import { PriorityReads, goesByPriority } from './priority-reads.js';
import { type DispatchHost, Triage } from './triage.js';
import { WaitingTurns } from './waiting-turns.js';

/** Messages taken from one partition before the next one has its turn. */
const TURN_MESSAGES = 64;
/** Deliveries made for a group before other work of the event loop has its turn. */
const MAX_PER_ROUND = 4096;

/**
 * Hands messages to the members of groups. There is no assignment of partitions to members: the next
 * message goes to the next member that has room. So nothing has to be rebalanced when a member joins
 * or leaves, a slow one does not hold up a partition, and order by key is kept by never having two
 * messages of a key in flight, whoever has them.
 */
export class Dispatcher {
  private readonly woken = new Set<Group>();
  private scheduled = false;
  readonly blocks: BlockReads;
  private readonly triage: Triage;
  private readonly waiting: WaitingTurns;
  private readonly priorities: PriorityReads;
  private readonly handOver: HandOver;

  constructor(private readonly host: DispatchHost) {
    this.blocks = new BlockReads(host);
    this.triage = new Triage(host, this.blocks);
    this.waiting = new WaitingTurns(host, this.blocks, this.triage);
    this.priorities = new PriorityReads(this.blocks, this.triage);
    this.handOver = new HandOver(host);
  }

  /** Deliveries made so far. */
  get deliveries(): number {
    return this.triage.deliveries;
  }

  readonly wake = (group: Group): void => {
    this.woken.add(group);
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      const groups = [...this.woken];
      this.woken.clear();
      for (const woken of groups) this.pump(woken);
    });
  };

  /** Delivers what can be delivered now. */
  pump(group: Group): void {
    // Nothing can be settled any more, nor be moved to the dead letters.
    if (this.host.journal.failed) return;
    this.triage.beginRound();
    let left = this.waiting.deliver(group, MAX_PER_ROUND);
    while (left > 0 && group.queue.length > 0) {
      if (group.ranksStrictly && !this.priorities.putHighestFirst(group)) break;
      const cursor = group.queue[0]!;
      const delivered = this.deliverFrom(group, cursor, Math.min(left, TURN_MESSAGES));
      if (delivered === 'no-room') break;
      left -= delivered + 1;
      group.queue.shift();
      cursor.queued = false;
      cursor.loaded = undefined;
      group.activate(cursor);
    }
    if (left <= 0) this.wake(group);
    this.handOver.toMembersOf(group);
  }

  /** Delivers up to `limit` messages of one partition, and answers how many those were. */
  private deliverFrom(group: Group, cursor: Cursor, limit: number): number | 'no-room' {
    if (goesByPriority(cursor)) return this.priorities.deliver(group, cursor, limit);
    const { triage } = this;
    let delivered = 0;
    // Skipped messages count as well: a long run of other tags must not hold up the event loop.
    for (let looked = 0; looked < limit * 16 && delivered < limit && cursor.hasUnread; looked++) {
      const offset = cursor.next;
      const position = cursor.partition.index.get(offset);
      const block = triage.admit(group, cursor, offset, position);
      if (block === 'loading') return delivered;
      cursor.next += 1;
      if (block === 'skipped') continue;
      if (group.order === 'by-key' && !triage.enterLane(group, cursor, offset, block, position)) continue;
      if (cursor.heldBack.size > 0 && triage.isHeldBack(cursor, offset)) continue;
      if (triage.expire(cursor, offset, block, position)) continue;
      const takers = triage.takersOfNew(group, cursor, block, position);
      if (takers && triage.isForOthers(group, cursor, offset, takers, block, position)) continue;
      const member = group.turns.nextWithRoom(takers);
      if (!member) {
        triage.leaveLane(group, cursor, offset, block, position);
        cursor.next = offset;
        return 'no-room';
      }
      triage.deliver(member, cursor, offset, FIRST_TRY, block, position);
      delivered += 1;
    }
    return delivered;
  }
}
