import type { Cursor } from '../positions/cursor.js';
import { MAX_LOOKAHEAD } from '../positions/priority-lookahead.js';
import { FIRST_TRY } from '../positions/tries.js';
import { DEFAULT_PRIORITY, recordAt } from '../topics/record.js';
import type { BlockReads } from './block-reads.js';
import type { Group } from './group.js';
import type { Triage } from './triage.js';

/** Partitions among which a group finds the one with the highest priority. */
const MAX_RANKED = 1_024;
const HIGHEST_PRIORITY = 9;

export const goesByPriority = ({ readAhead, partition, group }: Cursor): boolean =>
  readAhead > 0 || (partition.hasPriorities && group.order === 'unordered');

/** Reads ahead where messages have several priorities, and delivers the highest first. */
export class PriorityReads {
  constructor(
    private readonly blocks: BlockReads,
    private readonly triage: Triage,
  ) {}

  /**
   * Begins the queue with the partition that has the highest priority, as far as it is read ahead. False while that cannot be
   * told, because what is read ahead comes from a file.
   */
  putHighestFirst(group: Group): boolean {
    const { queue } = group;
    let first = 0;
    let highest = -1;
    const ranked = queue.slice(0, MAX_RANKED);
    for (const [place, cursor] of ranked.entries()) {
      const ranks = goesByPriority(cursor);
      if (ranks) this.readAhead(group, cursor);
      if (cursor.loading && !cursor.unreadable && cursor.readAhead < MAX_LOOKAHEAD / 2) return false;
      const top = ranks ? cursor.lookahead.top : DEFAULT_PRIORITY;
      if (top > highest) [first, highest] = [place, top];
    }
    // A block that was read for one of the others is not kept until its turn comes.
    for (const cursor of ranked) if (cursor !== ranked[first]) cursor.loaded = undefined;
    if (first > 0) queue.unshift(...queue.splice(first, 1));
    return true;
  }

  private readAhead(group: Group, cursor: Cursor): void {
    const { lookahead, partition } = cursor;
    for (let looked = 0; looked < MAX_LOOKAHEAD; looked++) {
      if (lookahead.size >= MAX_LOOKAHEAD || !cursor.hasUnread) return;
      const offset = cursor.next;
      const position = partition.index.get(offset);
      const block = this.triage.admit(group, cursor, offset, position);
      if (block === 'loading') return;
      cursor.next += 1;
      if (block === 'skipped' || (cursor.heldBack.size > 0 && this.triage.isHeldBack(cursor, offset)))
        continue;
      lookahead.add(offset, recordAt.priority(block, position));
    }
  }

  /** The same for a partition that has messages of several priorities. A strict group looks at its other partitions before it takes lower ones. */
  deliver(group: Group, cursor: Cursor, limit: number): number | 'no-room' {
    const { lookahead, partition } = cursor;
    this.readAhead(group, cursor);
    const least = group.ranksStrictly ? lookahead.top : 0;
    for (let delivered = 0; ; delivered++) {
      this.readAhead(group, cursor);
      const isTurn = delivered < limit && lookahead.top >= least;
      const offset = isTurn ? lookahead.take(group.priorities) : undefined;
      if (offset === undefined) return delivered;
      const position = partition.index.get(offset);
      const block = this.blocks.of(cursor, offset, position);
      const priority = block ? recordAt.priority(block, position) : HIGHEST_PRIORITY;
      if (block && this.triage.expire(cursor, offset, block, position)) continue;
      const takers = block && this.triage.takersOf(group, cursor, block, position);
      if (takers && this.triage.isForOthers(group, cursor, offset, takers, block, position)) continue;
      const member = block && group.turns.nextWithRoom(takers);
      if (!block || !member) {
        // Its own block is read back at the moment: it goes first then, whatever its priority.
        lookahead.putBack(offset, priority);
        return block ? 'no-room' : delivered;
      }
      this.triage.deliver(member, cursor, offset, FIRST_TRY, block, position);
    }
  }
}
