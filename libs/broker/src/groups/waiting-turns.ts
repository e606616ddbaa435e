import type { Ready } from '../positions/cursor.js';
import { type BlockReads, READ_AGAIN_MS } from './block-reads.js';
import type { Consumer } from './consumer.js';
import type { Group } from './group.js';
import type { Interest } from './interests.js';
import type { DispatchHost, Triage } from './triage.js';

type NextMember = (takers?: readonly Interest[]) => Consumer | undefined;

/** Delivers what was looked at before: suspects, what is ready again, and what waits for certain members. */
export class WaitingTurns {
  constructor(
    private readonly host: Pick<DispatchHost, 'dueAt'>,
    private readonly blocks: BlockReads,
    private readonly triage: Triage,
  ) {}

  /** As far as members have room. Returns what is left of `limit`. */
  deliver(group: Group, limit: number): number {
    let left = limit;
    while (this.deliverSuspect(group)) left -= 1;
    left = this.drain(group, group.ready, left);
    for (const [name, { takers, items }] of group.reserved) {
      left = this.drain(group, items, left, takers);
      if (items.length === 0) group.reserved.delete(name);
    }
    return left;
  }

  /** Delivers a list from its beginning, until one has to stay there; `only`: to members with one of these interests. */
  private drain(group: Group, list: Ready[], limit: number, only?: readonly Interest[]): number {
    const nextMember: NextMember = (takers) => group.turns.nextWithRoom(only ?? takers);
    let left = limit;
    while (left > 0 && list.length > 0 && (!only || group.turns.hasRoom(only))) {
      if (!this.deliverOne(group, list, list[0]!, nextMember)) break;
      left -= 1;
    }
    return left;
  }

  /** Delivers a suspect to a member that has nothing else. Those that were there at fewer ends come first: they are most likely innocent. */
  private deliverSuspect(group: Group): boolean {
    const { suspects } = group;
    if (suspects.length === 0) {
      group.turns.endExamination();
      return false;
    }
    const item = suspects.reduce((least, each) => (each.lost < least.lost ? each : least));
    return this.deliverOne(group, suspects, item, (takers) => group.turns.examinerFor(takers));
  }

  /** Delivers one of a list; false when it has to stay there. */
  private deliverOne(group: Group, list: Ready[], item: Ready, nextMember: NextMember): boolean {
    const { blocks, triage } = this;
    const { cursor, offset } = item;
    const takeOff = (): unknown => list.splice(list.indexOf(item), 1);
    if (cursor.settled.isSettled(offset) || offset < cursor.partition.start) {
      takeOff();
      group.freeUnread(item);
      return true;
    }
    const position = cursor.partition.index.get(offset);
    const block = blocks.of(cursor, offset, position);
    if (!block) return cursor.unreadable ? this.putAside(list, item) : false;
    // It waited behind its key and was never delivered: its time to live counts as it does for the others.
    if (item.attempt === 1 && triage.hasExpired(block, position)) {
      takeOff();
      return triage.expire(cursor, offset, block, position);
    }
    const takers = triage.takersOf(group, cursor, block, position);
    if (takers?.length === 0) {
      takeOff();
      return triage.giveUp(cursor, offset, item, block, position);
    }
    const member = nextMember(takers);
    if (!member) {
      const isAbsent = takers && !group.members.some(({ interest }) => takers.includes(interest));
      if (!takers || !(isAbsent || (list !== group.suspects && group.turns.hasRoom()))) return false;
      takeOff();
      group.reserve(takers, item);
      return true;
    }
    takeOff();
    cursor.loaded = undefined;
    triage.deliver(member, cursor, offset, item, block, position);
    return true;
  }

  /** One that cannot be read at the moment does not hold up the others that are ready. */
  private putAside(list: Ready[], item: Ready): true {
    list.splice(list.indexOf(item), 1);
    const dueAtMs = this.triage.nowMs + READ_AGAIN_MS;
    item.cursor.group.putOff({ ...item, dueAtMs });
    this.host.dueAt(dueAtMs);
    return true;
  }
}
