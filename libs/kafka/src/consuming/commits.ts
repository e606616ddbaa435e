import type { Committed } from '../client/kafka-client.js';
import type { PartitionWork } from './partition-work.js';

type Waiter = { resolve: () => void; reject: (error: unknown) => void };

/**
 * Commits places, one request under way: what is settled meanwhile goes with the next one, so that a busy member commits once
 * per round trip, not once per message.
 */
export class Commits {
  private changed = new Set<PartitionWork>();
  private waiting: Waiter[] = [];
  private running: Promise<void> | undefined;

  constructor(private readonly commit: (offsets: readonly Committed[]) => Promise<void>) {}

  /** Resolves when the partition's place, as it is now, is stored. */
  add(work: PartitionWork): Promise<void> {
    return new Promise((resolve, reject) => {
      this.changed.add(work);
      this.waiting.push({ resolve, reject });
      this.running ??= this.run();
    });
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.running;
  }

  private async run(): Promise<void> {
    // After this tick, so that a batch's acknowledgements share a request.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.changed.size > 0) {
      const [works, waiters] = [[...this.changed], this.waiting];
      this.changed = new Set();
      this.waiting = [];
      try {
        const offsets = works.map(({ place, window, inFlight }) => ({
          ...place,
          offset: window.committed,
          note: window.note(inFlight),
        }));
        await this.commit(offsets);
        for (const { resolve } of waiters) resolve();
      } catch (error) {
        for (const { reject } of waiters) reject(error);
      }
    }
    this.running = undefined;
  }
}
