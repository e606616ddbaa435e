import type { Consumer } from './consumer.js';
import type { Group } from './group.js';
import type { DispatchHost } from './triage.js';

/** Hands what members were given to their consumers, once the journal knows of it as surely as it has to. */
export class HandOver {
  constructor(private readonly host: Pick<DispatchHost, 'journal' | 'noteUnderWay'>) {}

  toMembersOf(group: Group): void {
    for (const member of group.members) {
      const last = member.outbox.at(-1)?.deliveryId;
      if (last === undefined) continue;
      const isNoted = this.noteUnderWay(group, member);
      if (!isNoted && !member.atMostOnce && member.flushes === 0) {
        member.emit();
        continue;
      }
      member.flushes += 1;
      const emit = (): void => {
        member.flushes -= 1;
        member.emit(last);
      };
      // At most once: handed over only after the journal says that it was, as surely as its topic's receipts are.
      const upTo = member.atMostOnce && group.isSynced ? 'durable' : 'written';
      this.host.journal.flushThen(upTo, { resolve: emit, reject: () => undefined });
    }
  }

  /**
   * A consumer in the broker's own process takes the broker with it when it dies. What may have been under way then are
   * the first messages that are delivered after a start; those are noted, so that a message that kills is found out.
   */
  private noteUnderWay(group: Group, member: Consumer): boolean {
    const { events, atMostOnce, outbox } = member;
    if (!member.hasOldInOutbox) return false;
    member.hasOldInOutbox = false;
    if (events.copiesDeliveries || atMostOnce || group.mode !== 'shared') return false;
    let noted = false;
    for (const delivery of outbox) {
      const { cursor, offset, tries, isNoted } = delivery;
      if (offset >= cursor.endAtStart || isNoted) continue;
      if (cursor.noted >= group.mostInFlight && tries.lost === 0) continue;
      cursor.noted += 1;
      this.host.noteUnderWay(delivery);
      noted = true;
    }
    return noted;
  }
}
