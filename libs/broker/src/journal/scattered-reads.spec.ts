import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MemoryFiles } from '../testing/memory-files.js';
import { recordAt } from '../topics/record.js';
import { segmentFileName } from './format.js';
import { ScatteredReads } from './scattered-reads.js';
import { Segments } from './segments.js';

const SEGMENT_BYTES = 100_000;

/** Segments full of records, each filled with its number; the positions of the records. */
async function filled(lengths: readonly number[]): Promise<{ segments: Segments; positions: number[] }> {
  const files = new MemoryFiles();
  const pieces: Buffer[][] = [[]];
  const positions: number[] = [];
  let [base, at] = [0, 0];
  for (const length of lengths) {
    if (at + length > SEGMENT_BYTES) {
      pieces.push([]);
      [base, at] = [base + at, 0];
    }
    const record = Buffer.alloc(length, positions.length);
    record.writeUInt32LE(length);
    positions.push(base + at);
    pieces.at(-1)!.push(record);
    at += length;
  }
  base = 0;
  const bases: number[] = [];
  for (const records of pieces) {
    bases.push(base);
    files.put(`journal/${segmentFileName(base)}`, Buffer.concat(records));
    base += Buffer.concat(records).byteLength;
  }
  const segments = new Segments(files, 'journal');
  for (const [index, start] of bases.entries()) segments.add(start, bases[index + 1] ?? base);
  return { segments, positions };
}

describe('scattered reads', () => {
  it('find every record, alone or beside others, longer than a page or at the end of a segment', async () => {
    const length = fc.oneof(fc.integer({ min: 8, max: 400 }), fc.integer({ min: 3_000, max: 70_000 }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ length, wanted: fc.boolean() }), { minLength: 1, maxLength: 60 }),
        async (records) => {
          const { segments, positions } = await filled(records.map((record) => record.length));
          const wanted = positions.filter((_, index) => records[index]!.wanted).reverse();
          const reads = new ScatteredReads(segments);
          // The second time its memory is used again.
          for (const asked of [positions, wanted]) {
            const found = await reads.read(asked);
            for (const position of asked) {
              const index = positions.indexOf(position);
              const block = found.get(position)!;
              const { length } = records[index]!;
              expect(recordAt.length(block, position)).toBe(length);
              expect(block.end - position).toBe(length);
              expect(block.bytes[block.end - 1 - block.start]).toBe(index);
              expect(block.view.getUint8(position - block.start + 4)).toBe(index);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
