/** Where a message was before it came to a retry or dead-letter topic, and what became of it there. */
import type { Attempt, DeadLetterReason, ErrorKind } from '#libs/messaging/port';
import type { Block } from '../journal/block.js';
import { RECORD_HEADER_BYTES, recordAt } from './record.js';

/** What a message in a retry or dead-letter topic brings with it. */
export type Provenance = {
  origin: { topic: string; partition: number; offset: number; storedAtMs: number };
  /** Deliveries so far. */
  attempt: number;
  history: readonly Attempt[];
  deadLetter?: { group: string; reason: DeadLetterReason; kind?: ErrorKind; error: string; atMs: number };
  /** How often the broker has given it back by itself; absent: never. */
  automaticRedrives?: number;
};

/** Of a message that was not delivered before. */
export const NO_PROVENANCE = Buffer.alloc(0);
export const encodeProvenance = (provenance: Provenance | undefined): Buffer =>
  provenance ? Buffer.from(JSON.stringify(provenance)) : NO_PROVENANCE;

export const hasProvenance = (block: Block, position: number): boolean =>
  recordAt.provenanceLength(block, position) > 0;

export function provenanceOf(block: Block, position: number): Provenance | undefined {
  const length = recordAt.provenanceLength(block, position);
  if (length === 0) return undefined;
  const at = position - block.start + RECORD_HEADER_BYTES + recordAt.textLength(block, position);
  return JSON.parse(block.bytes.utf8Slice(at, at + length)) as Provenance;
}
