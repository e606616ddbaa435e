import { MessagingError, type OutgoingMessage } from '#libs/messaging/port';

/** A session that can be asked what became of a transaction. */
export interface ProducerSession {
  check(transactionId: string, messages: readonly OutgoingMessage[], producerGroup: string): void;
}

/** Producer groups that have a session at the same time. */
const MAX_GROUPS = 10_000;

/** @throws {MessagingError} `INVALID_ARGUMENT` */
export function checkProducerGroup(group: string): void {
  if (typeof group === 'string' && group !== '' && group.length <= 256) return;
  throw new MessagingError('INVALID_ARGUMENT', 'a producer group has 1 to 256 characters');
}

/** Who can be asked for a producer group's transactions: any of its live sessions, in turn. */
export class ProducerSessions {
  private readonly byGroup = new Map<string, ProducerSession[]>();

  /** @throws {MessagingError} `INVALID_ARGUMENT`, `BUFFER_FULL` */
  register(group: string, producer: ProducerSession): void {
    checkProducerGroup(group);
    if (!this.byGroup.has(group) && this.byGroup.size >= MAX_GROUPS) {
      throw new MessagingError('BUFFER_FULL', `${MAX_GROUPS} producer groups are connected already`);
    }
    const producers = this.byGroup.get(group) ?? [];
    if (!producers.includes(producer)) producers.push(producer);
    this.byGroup.set(group, producers);
  }

  forget(producer: ProducerSession): void {
    for (const [group, producers] of this.byGroup) {
      const left = producers.filter((other) => other !== producer);
      if (left.length > 0) this.byGroup.set(group, left);
      else this.byGroup.delete(group);
    }
  }

  has(group: string): boolean {
    return this.byGroup.has(group);
  }

  /** The one whose turn it is; the turn goes on to the next. */
  nextOf(group: string): ProducerSession | undefined {
    const producers = this.byGroup.get(group);
    const next = producers?.shift();
    if (next) producers?.push(next);
    return next;
  }
}
