import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { newBlock } from '../journal/block.js';
import { hashOfId, hashOfIdAt } from './id-hash.js';
import { DEFAULT_PRIORITY } from './record.js';
import { writeRecord } from './write-record.js';

/** The hash of an id as it is found in a record in the journal. */
function hashInRecord(id: string, tag: string): number {
  const block = newBlock(4_096, 8_192);
  const out = { bytes: block.bytes, view: block.view, at: 0, start: block.start };
  const [topicId, partition, offset, priority] = [1, 0, 0, DEFAULT_PRIORITY];
  const times = { bornAtMs: 0, storedAtMs: 0, deliverAtMs: 0, ttlMs: 0 };
  const fields = { topicId, partition, offset, priority, ...times, tag, key: undefined };
  const position = writeRecord(out, { ...fields, id, headers: {}, body: Buffer.alloc(0) });
  return hashOfIdAt(block, position, topicId);
}

describe('the hash of a message id', () => {
  it('is the same from the text as from the record, in whatever language', () => {
    const text = fc.oneof(fc.string({ maxLength: 40 }), fc.string({ unit: 'grapheme', maxLength: 40 }));
    const withoutNul = text.filter((each) => !each.includes('\0'));
    fc.assert(
      fc.property(withoutNul, withoutNul, (id, tag) => hashOfId(id, 1) === hashInRecord(id, tag)),
      { numRuns: 1_000 },
    );
  });

  it('tells ids apart that differ in one character', () => {
    const ids = Array.from(
      { length: 10_000 },
      (_, n) => `0190c9a1-7d3e-7000-8000-${String(n).padStart(12, '0')}`,
    );
    expect(new Set(ids.map((id) => hashOfId(id, 1))).size).toBeGreaterThan(ids.length - 5);
  });

  it('is another one in another topic', () => {
    const hashes = Array.from({ length: 10_000 }, (_, topicId) => hashOfId('A-1', topicId));
    expect(new Set(hashes).size).toBeGreaterThan(hashes.length - 5);
  });
});
