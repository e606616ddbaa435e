import type { Block } from '../journal/block.js';
import type { Journal } from '../journal/journal.js';
import { recordAt } from '../topics/record.js';
import type { Cursor } from '../positions/cursor.js';
import type { Group } from './group.js';

/** What could not be read is read again so much later, for as long as it takes. */
export const READ_AGAIN_MS = 1_000;
/** Blocks being read for consumers that are behind, over all groups. */
const MAX_LOADS = 32;

type BlockReadsHost = {
  readonly journal: Journal;
  /** A block could not be read from its file; told once for each offset. */
  held(cursor: Cursor, offset: number, error: unknown): void;
};

/** The blocks that cursors read their messages from: in memory for those that keep up, read from files for those that are behind. */
export class BlockReads {
  private loads = 0;
  /** Cursors that wait for one of the loads to end. */
  private readonly starved = new Set<Cursor>();

  constructor(private readonly host: BlockReadsHost) {}

  /** The block with the record of `offset`, which is at `position`; undefined while it is read from its file. */
  of(cursor: Cursor, offset: number, position: number): Block | undefined {
    const { loaded } = cursor;
    if (loaded && position >= loaded.start && position + 4 <= loaded.end) {
      if (position + recordAt.length(loaded, position) <= loaded.end) return loaded;
    }
    const found = this.host.journal.borrow(position);
    if (found) return found;
    this.load(cursor, offset, position);
    return undefined;
  }

  /** Whether messages of the group are on their way from a file, and may be expected. */
  isLoading(group: Group): boolean {
    for (const cursor of group.cursors.values()) if (cursor.loading && !cursor.unreadable) return true;
    return false;
  }

  private load(cursor: Cursor, offset: number, position: number): void {
    if (cursor.loading) return;
    cursor.loading = true;
    if (this.loads >= MAX_LOADS) {
      this.starved.add(cursor);
      return;
    }
    this.loads += 1;
    this.host.journal
      .loadToBorrow(position)
      .then((block) => {
        cursor.loaded = block;
        cursor.unreadable = undefined;
        this.resume(cursor);
      })
      .catch((error: unknown) => this.hold(cursor, offset, error))
      .finally(() => {
        this.loads -= 1;
        const waiting = [...this.starved];
        this.starved.clear();
        for (const resumed of waiting) this.resume(resumed);
      });
  }

  /** The cursor stands still until it is tried again; all others go on. */
  private hold(cursor: Cursor, offset: number, error: unknown): void {
    if (cursor.unreadable?.offset !== offset) {
      cursor.unreadable = { offset, error: String(error) };
      this.host.held(cursor, offset, error);
    }
    setTimeout(() => this.resume(cursor), READ_AGAIN_MS).unref();
  }

  private resume(cursor: Cursor): void {
    cursor.loading = false;
    cursor.group.activate(cursor);
    cursor.group.wake();
  }
}
