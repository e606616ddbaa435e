import type { Place } from '../client/kafka-client.js';
import type { ReadRecord } from '../sending/records.js';
import type { OffsetWindow } from './offset-window.js';

/** A message that was read and is not done with. */
export type Item = {
  work: PartitionWork;
  offset: number;
  read: ReadRecord;
  bytes: number;
  /** Those of one lane are delivered one at a time, in order. */
  lane: string | undefined;
  /** Its verdict is written; only the commit may still fail, and be asked for again. */
  isDone?: boolean;
};

/** A partition while it is this member's. */
export class PartitionWork {
  inFlight = 0;
  openBytes = 0;
  isPaused = false;
  /** It is somebody else's by now. */
  isGone = false;

  constructor(
    readonly place: Place,
    readonly window: OffsetWindow,
    /** Most messages, and bytes, that are read and open; beyond them it is read no further. */
    readonly bounds: { messages: number; bytes: number },
  ) {}

  get isFull(): boolean {
    return this.window.size >= this.bounds.messages || this.openBytes >= this.bounds.bytes;
  }

  /** Far enough below its bounds to read on. */
  get hasRoom(): boolean {
    return this.window.size <= this.bounds.messages / 2 && this.openBytes <= this.bounds.bytes / 2;
  }
}
