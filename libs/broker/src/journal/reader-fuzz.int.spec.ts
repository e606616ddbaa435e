import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { BrokerSandbox } from '../testing/engine-client.js';
import {
  everything,
  findsOnlyWhatWasWritten,
  fuzzSandbox,
  inventsNothing,
  sampleJournal,
} from '../testing/journal-fuzz.js';
import { MemoryFiles } from '../testing/memory-files.js';

/** Journals tried per property; more with `FUZZ_RUNS`. A failure prints its seed. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 150);
const TEST_LIMIT_MS = 60_000 + RUNS * 400;

let sandbox: BrokerSandbox;

beforeEach(async () => {
  sandbox = await fuzzSandbox();
});
afterEach(() => sandbox.cleanUp());

// That these properties can fail is shown in planted-reader-bugs.int.spec.ts.
describe('the log reader', () => {
  it(
    'never fails, hangs or invents a message, whatever bytes it is given',
    async () => {
      const { path } = await sampleJournal(sandbox);
      await fc.assert(inventsNothing(sandbox, path), { numRuns: RUNS });
    },
    TEST_LIMIT_MS,
  );

  it(
    'finds only what was written, however a journal is mutilated',
    async () => {
      const sample = await sampleJournal(sandbox);
      await fc.assert(findsOnlyWhatWasWritten(sandbox, sample), { numRuns: RUNS });
    },
    TEST_LIMIT_MS,
  );

  it('finds all of it when nothing is changed', async () => {
    const { path, bytes, written } = await sampleJournal(sandbox);
    const files = new MemoryFiles();
    files.put(path, bytes);
    const found = await everything(await sandbox.open({ files }));
    expect(new Set(found)).toEqual(written);
    expect(found.length).toBeGreaterThan(6);
  });
});
