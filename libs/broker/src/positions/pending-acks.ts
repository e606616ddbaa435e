import type { Journal } from '../journal/journal.js';
import { writeAcks } from './acked-entry.js';
import type { Cursor } from './cursor.js';

/** Offsets that were settled since the last commit; they are recorded with the next one. */
export class PendingAcks {
  private cursors: Cursor[] = [];

  /** The group is done with a message. Nothing is recorded of a broadcast. */
  settle(cursor: Cursor, offset: number): void {
    if (!cursor.settle(offset) || cursor.group.mode === 'broadcast') return;
    cursor.unrecorded.push(offset);
    if (cursor.unrecorded.length === 1) this.cursors.push(cursor);
  }

  record(journal: Journal): void {
    if (this.cursors.length === 0) return;
    const { cursors } = this;
    this.cursors = [];
    writeAcks(journal, cursors);
  }
}
