/** What stays is said again after so long, with how often it has come since. */
const SAY_AGAIN_MS = 60_000;
/** Kinds told apart at once; the texts of errors are not ours to bound. */
const MAX_KINDS = 200;

/**
 * Bounds what is said again and again: each kind at once when it first comes, and then once a minute for as
 * long as it comes, with its count.
 *
 *     00:00.000  first   said
 *     00:00.010  …       8,000 more in this minute, not said
 *     01:00.000          the last of them is said, with the count 8,000
 *     02:00.000          none came: forgotten, the next is a first one again
 */
export class Repetitions {
  private readonly kinds = new Map<string, { count: number; sayAgain: (count: number) => void }>();

  /**
   * @param sayAgain says the latest of a kind; `count` have come since the one that was said before
   * @returns whether this one is to be said now
   */
  isFirst(kind: string, sayAgain: (count: number) => void): boolean {
    const known = this.kinds.get(kind);
    if (known !== undefined) {
      known.count += 1;
      known.sayAgain = sayAgain;
      return false;
    }
    // More kinds at once than anybody reads: no memory for them, and none is held back.
    if (this.kinds.size < MAX_KINDS) {
      this.kinds.set(kind, { count: 0, sayAgain });
      this.wait(kind);
    }
    return true;
  }

  private wait(kind: string): void {
    setTimeout(() => {
      const known = this.kinds.get(kind);
      if (known === undefined || known.count === 0) {
        this.kinds.delete(kind);
        return;
      }
      known.sayAgain(known.count);
      known.count = 0;
      this.wait(kind);
    }, SAY_AGAIN_MS).unref();
  }
}
