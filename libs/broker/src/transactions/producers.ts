import type { OutgoingMessage } from '#libs/messaging';

/** A session that can be asked what became of a transaction. */
export interface Producer {
  check(transactionId: string, messages: readonly OutgoingMessage[], producerGroup: string): void;
}

/** Who can be asked for a producer group's transactions: any of its live sessions, in turn. */
export class Producers {
  private readonly byGroup = new Map<string, Producer[]>();

  register(group: string, producer: Producer): void {
    const producers = this.byGroup.get(group) ?? [];
    if (!producers.includes(producer)) producers.push(producer);
    this.byGroup.set(group, producers);
  }

  forget(producer: Producer): void {
    for (const [group, producers] of this.byGroup) {
      const left = producers.filter((other) => other !== producer);
      if (left.length > 0) this.byGroup.set(group, left);
      else this.byGroup.delete(group);
    }
  }

  of(group: string): Producer | undefined {
    const producers = this.byGroup.get(group);
    const next = producers?.shift();
    if (next) producers?.push(next);
    return next;
  }
}
