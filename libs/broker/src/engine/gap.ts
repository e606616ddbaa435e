import { MessagingError } from '#libs/messaging/port';

/**
 * A damaged range that was left out (`onDamage: 'quarantine'`): behind it offsets may be missing, and entries may refer to
 * what was in it.
 */
export class Gap {
  isThere = false;
  /** Entries and messages that could not be applied because the topic or group they name was made in the range. */
  unplaced = 0;

  /** Behind a gap, what refers to something in it is counted instead of refused. */
  orUnplaced(apply: () => void): void {
    if (!this.isThere) return apply();
    try {
      apply();
    } catch (error) {
      if (!(error instanceof MessagingError && error.code === 'LOG_CORRUPT')) throw error;
      this.unplaced += 1;
    }
  }
}
