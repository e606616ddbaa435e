import type { Attempt } from '#libs/messaging/port';
import type { BrokerHost } from '../host.js';
import { EntryType } from '../journal/format.js';
import type { Place } from '../positions/cursor.js';
import type { PendingAcks } from '../positions/pending-acks.js';
import type { HeldBack } from '../positions/tries.js';
import { MAX_HISTORY } from './as-delivered.js';
import type { Consumer } from './consumer.js';
import type { Delivery } from './delivery.js';
import { SUSPECT_AFTER } from './group.js';
import { recordedPlace } from './group-facts.js';

/** Of one that was lost as a suspect, alone with its consumer: its next try waits 1 s, 2 s, 4 s … 1 min, and all others go on meanwhile. */
const FIRST_SUSPECT_WAIT_MS = 1_000;
const MAX_SUSPECT_WAIT_MS = 60_000;

/** Deliveries that end without a verdict. */
export class Leases {
  constructor(
    private readonly host: BrokerHost,
    private readonly pendingAcks: PendingAcks,
  ) {}

  /**
   * Takes deliveries away from their member and gives them to the group again: nobody knows what became of them, so
   * that counts as a try. Resolves nothing: the member is told by its caller.
   */
  lose(deliveries: readonly Delivery[], error: string): void {
    const atMs = this.host.now();
    for (const delivery of deliveries) {
      this.takeBack(delivery, lostAgain(delivery, error, atMs));
      this.host.trace.add(delivery.stored.id, 'lease-expired', atMs, delivery.consumer.actor, error);
    }
    for (const group of new Set(deliveries.map(({ cursor }) => cursor.group))) group.wake();
  }

  /** Takes away from a member what it had for too long, and tells it. */
  ranOut(member: Consumer, nowMs: number): void {
    const expired = member.expired(nowMs);
    if (expired.length === 0) return;
    this.lose(expired, 'the lease ran out');
    member.events.leaseLost(
      member.id,
      expired.map(({ deliveryId }) => deliveryId),
    );
  }

  /** Gives the group deliveries again that nobody failed with: the member leaves in good order, or never began. */
  giveBack(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) {
      const { attempt, history, lost } = delivery.tries;
      const again = { attempt, history, lost, dueAtMs: 0 };
      if (delivery.isNoted) this.note(delivery, again);
      this.takeBack(delivery, again);
    }
  }

  /**
   * Records before it is handed over that a delivery is under way: were the process to end, which broker and consumer
   * share, nobody else would know that this message was tried.
   */
  noteUnderWay(delivery: Delivery): void {
    this.note(delivery, lostAgain(delivery, 'the process ended', this.host.now()));
    delivery.isNoted = true;
  }

  private note({ cursor, offset }: Delivery, held: HeldBack): void {
    recordHeldBack(this.host, { cursor, offset }, held);
    // That is what the next start has to know. Now it is with somebody.
    cursor.heldBack.delete(offset);
  }

  private takeBack(delivery: Delivery, again: HeldBack): void {
    const { consumer, cursor, offset } = delivery;
    consumer.remove(delivery);
    if (consumer.atMostOnce || cursor.group.mode === 'broadcast') {
      this.pendingAcks.settle(cursor, offset);
      return delivery.leaveLane();
    }
    if (again.dueAtMs === 0) return cursor.group.makeReady({ cursor, offset, ...again });
    cursor.group.putOff({ cursor, offset, ...again });
    this.host.dueAt(again.dueAtMs);
  }
}

/** What is known of a delivery that ends, or would end, without a verdict. */
function lostAgain({ tries, attempt, consumer }: Delivery, error: string, atMs: number): HeldBack {
  const failed: Attempt = { attempt, atMs, consumer: consumer.clientName, error, isLost: true };
  const lost = tries.lost + 1;
  const waitMs = Math.min(MAX_SUSPECT_WAIT_MS, FIRST_SUSPECT_WAIT_MS * 2 ** (lost - SUSPECT_AFTER - 1));
  return {
    attempt: tries.attempt + 1,
    history: [...tries.history, failed].slice(-MAX_HISTORY),
    lost,
    dueAtMs: lost > SUSPECT_AFTER ? atMs + waitMs : 0,
  };
}

/** A message stays where it is, and waits there for its next try. */
export function recordHeldBack(host: BrokerHost, { cursor, offset }: Place, held: HeldBack): void {
  const { group, partition } = cursor;
  host.commit(EntryType.HELD_BACK, { groupId: group.id, place: recordedPlace(partition, offset), ...held });
}
