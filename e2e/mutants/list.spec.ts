import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { MUTANTS } from './list/index.js';
import { plantedIn, type Mutant } from './mutant.js';

/** Why the fault cannot be planted any more: the line has changed, or a spec has moved. */
function problemOf(mutant: Mutant): string[] {
  const gone = mutant.specs.filter((spec) => !existsSync(spec)).map((spec) => `${mutant.id}: no ${spec}`);
  if (mutant.specs.length === 0) gone.push(`${mutant.id} names no spec`);
  try {
    plantedIn(readFileSync(mutant.file, 'utf8'), mutant);
  } catch (error) {
    gone.push((error as Error).message);
  }
  return gone;
}

test('every fault of the list can be planted, and its specs are there', () => {
  expect(MUTANTS.flatMap(problemOf)).toEqual([]);
});

test('every fault has a name of its own, and there are enough: a hundred and more for the broker alone', () => {
  const ids = MUTANTS.map(({ id }) => id);
  expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([]);
  expect(ids.length).toBeGreaterThanOrEqual(900);
  const inBroker = MUTANTS.filter(({ file }) => file.startsWith('libs/broker/'));
  expect(inBroker.length).toBeGreaterThanOrEqual(100);
});
