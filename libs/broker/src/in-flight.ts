const FIRST_LENGTH = 64;

/** The slot follows from a delivery's number; its lowest eight bits name the consumer. */
const numberOf = (deliveryId: number): number => deliveryId / 256;

/**
 * The deliveries of one consumer that are not settled, by their ids. The broker numbers them without gaps: number n
 * has its place at `n % length`.
 *
 *     length 4, in flight 6, 7, 9    ring: [ – 9 6 7 ]
 *     10 comes while 6 still waits   ring: [ – 9 10 7 ]   late: 6
 *
 * One that is in the way of a newer one (its lease was extended, or its handler is slow) goes to `late`. A map
 * of all of them, whose keys are soon too large for small integers, cost more than what was done with them.
 */
export class InFlight<Delivery extends { readonly deliveryId: number }> {
  size = 0;
  private ring: (Delivery | undefined)[] = new Array<Delivery | undefined>(FIRST_LENGTH).fill(undefined);
  private readonly late = new Map<number, Delivery>();
  private readonly maxLength: number;

  /** @param max deliveries under way at once; the ring is at most four times as long */
  constructor(max: number) {
    this.maxLength = Math.max(FIRST_LENGTH, 2 ** (1 + Math.ceil(Math.log2(max))));
  }

  get(deliveryId: number): Delivery | undefined {
    const delivery = this.ring[this.slotOf(deliveryId)];
    if (delivery?.deliveryId === deliveryId) return delivery;
    return this.late.size > 0 ? this.late.get(deliveryId) : undefined;
  }

  add(delivery: Delivery): void {
    let slot = this.slotOf(delivery.deliveryId);
    while (this.ring[slot] !== undefined && this.ring.length < this.maxLength) {
      this.grow();
      slot = this.slotOf(delivery.deliveryId);
    }
    const older = this.ring[slot];
    if (older) this.late.set(older.deliveryId, older);
    this.ring[slot] = delivery;
    this.size += 1;
  }

  remove(delivery: Delivery): void {
    const slot = this.slotOf(delivery.deliveryId);
    if (this.ring[slot] === delivery) this.ring[slot] = undefined;
    else this.late.delete(delivery.deliveryId);
    this.size -= 1;
  }

  /** Those that `test` holds for, in the order in which they were delivered. */
  filter(test: (delivery: Delivery) => boolean): Delivery[] {
    const found: Delivery[] = [];
    if (this.size === 0) return found;
    for (const delivery of this.late.values()) if (test(delivery)) found.push(delivery);
    for (const delivery of this.ring) if (delivery && test(delivery)) found.push(delivery);
    return found.sort((a, b) => a.deliveryId - b.deliveryId);
  }

  all(): Delivery[] {
    return this.filter(() => true);
  }

  private slotOf(deliveryId: number): number {
    return numberOf(deliveryId) & (this.ring.length - 1);
  }

  private grow(): void {
    const { ring } = this;
    this.ring = new Array<Delivery | undefined>(ring.length * 2).fill(undefined);
    for (const delivery of ring) if (delivery) this.ring[this.slotOf(delivery.deliveryId)] = delivery;
  }
}
