import { HttpProblem, retryAfter } from '#libs/service-kit';
import { overloaded } from '../domain/errors.js';

const RETRY_AFTER_MS = 5_000;

/**
 * Bounds the event streams of this process, all users' together and each user's own: without the second
 * bound one user could take every place. A place is taken before the order is looked up, or all who
 * come while that goes on would find the same one free.
 */
export class StreamSlots {
  private taken = 0;
  private readonly takenBy = new Map<string, number>();

  constructor(private readonly bounds: { total: number; perUser: number }) {}

  /**
   * Returns what gives the place back; repeating that is harmless.
   *
   * @throws {HttpProblem} 429 `RATE_LIMITED` at the user's own bound
   * @throws {DomainError} `OVERLOADED` at the bound of all
   */
  take(userId: string): () => void {
    const own = this.takenBy.get(userId) ?? 0;
    if (own >= this.bounds.perUser) {
      const detail = `You have ${own} event streams open; close one first.`;
      throw new HttpProblem(429, 'RATE_LIMITED', detail, retryAfter(RETRY_AFTER_MS));
    }
    if (this.taken >= this.bounds.total) throw overloaded('Too many event streams are open.');
    this.taken += 1;
    this.takenBy.set(userId, own + 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.giveBack(userId);
    };
  }

  private giveBack(userId: string): void {
    this.taken -= 1;
    const left = (this.takenBy.get(userId) ?? 1) - 1;
    if (left === 0) this.takenBy.delete(userId);
    else this.takenBy.set(userId, left);
  }
}
