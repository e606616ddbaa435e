import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ALL_CODES, CODES, HashCells } from './hash-cells.js';

const GIB = 2 ** 30;

describe('HashCells', () => {
  it('has exactly what was added and not removed, with hash, position and code, wherever in the journal it is', () => {
    // Few buckets, so that their chains are long; positions in several regions.
    const hash = fc.oneof(fc.nat(3), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
    const position = fc.tuple(fc.constantFrom(0, 3, 15, 16, 17, 300_000), fc.integer({ min: 1, max: 200 }));
    const commands = fc.array(fc.record({ hash, position, code: fc.nat(CODES - 1), removes: fc.boolean() }), {
      maxLength: 300,
    });
    fc.assert(
      fc.property(commands, fc.integer({ min: 1, max: 50 }), (steps, atOnce) => {
        const cells = new HashCells();
        const model = new Map<string, { hash: number; position: number; code: number }>();
        for (const {
          hash: each,
          position: [gib, byte],
          code,
          removes,
        } of steps) {
          const at = gib * GIB + byte;
          const name = `${each} ${at}`;
          const [gone] = removes ? [...model.values()].slice(code % Math.max(1, model.size)) : [];
          expect(cells.remove(each, at)).toBe(model.get(name)?.code ?? -1);
          model.delete(name);
          if (gone && model.has(`${gone.hash} ${gone.position}`)) {
            expect(cells.remove(gone.hash, gone.position)).toBe(gone.code);
            model.delete(`${gone.hash} ${gone.position}`);
          }
          if (!removes) {
            cells.add(each, at, code);
            model.set(name, { hash: each, position: at, code });
          }
          expect(cells.has(each, at)).toBe(model.has(name));
        }
        const all = [...model.values()];
        for (const { hash: each } of all)
          expect(new Set(cells.positionsOf(each, undefined))).toEqual(
            new Set(all.filter((one) => one.hash === each).map((one) => one.position)),
          );
        const walked: typeof all = [];
        for (let place = { region: 0, bucket: 0 } as ReturnType<HashCells['walk']>; place;)
          place = cells.walk(place, atOnce, ALL_CODES, (at, code, each) =>
            walked.push({ hash: each, position: at, code }),
          );
        const order = (a: (typeof all)[0], b: (typeof all)[0]): number =>
          a.position - b.position || a.hash - b.hash;
        expect(walked.sort(order)).toEqual(all.sort(order));
      }),
      { numRuns: 100 },
    );
  });

  it('keeps the code of each though the one before it in their chain is taken out', () => {
    const cells = new HashCells();
    for (const code of [1, 2, 3]) cells.add(7, code * 100, code);
    expect(cells.remove(7, 100)).toBe(1);
    expect([cells.remove(7, 300), cells.remove(7, 200)]).toEqual([3, 2]);
  });

  it('takes no more memory when as many as were removed are added', () => {
    const cells = new HashCells();
    for (let i = 1; i <= 50_000; i++) cells.add(Math.imul(i, 0x9e3779b1) >>> 0, i, 1);
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 1; i <= 500_000; i++) {
      cells.remove(Math.imul(i, 0x9e3779b1) >>> 0, i);
      cells.add(Math.imul(i + 50_000, 0x9e3779b1) >>> 0, i + 50_000, 1);
    }
    expect((process.memoryUsage().arrayBuffers - before) / 2 ** 20).toBeLessThan(2);
  });
});
