import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import type { BrokerSandbox } from '../testing/engine-client.js';

/** As many as `reader-fuzz.int.spec.ts` tries by default. */
const RUNS = 150;
const TEST_LIMIT_MS = 120_000;
/**
 * The same journals for every reader: only the reader differs. Others at each run would some day have one of the
 * planted bugs hand on numbers that take for ever, such as an offset of 2^60, before the property sees a false message.
 */
const SEED = 1;

type ValidEntryLength = typeof import('./format.js').validEntryLength;
const format = await import('./format.js');
const right = format.validEntryLength;
let planted: ValidEntryLength;

jest.unstable_mockModule('./format.js', () => ({
  ...format,
  validEntryLength: (...args: Parameters<ValidEntryLength>) => planted(...args),
}));
// Only now, so that the broker under test reads with what is planted.
const { findsOnlyWhatWasWritten, fuzzSandbox, sampleJournal } = await import('../testing/journal-fuzz.js');

let sandbox: BrokerSandbox;
beforeEach(async () => {
  planted = right;
  sandbox = await fuzzSandbox();
});
afterEach(() => sandbox.cleanUp());

async function fuzz(reader: ValidEntryLength): Promise<boolean> {
  const sample = await sampleJournal(sandbox);
  planted = reader;
  // The first counterexample is enough; to make it small takes most of the time.
  const { failed } = await fc.check(findsOnlyWhatWasWritten(sandbox, sample), {
    seed: SEED,
    numRuns: RUNS,
    endOnFailure: true,
  });
  planted = right;
  return failed;
}

describe('the fuzzing of the log reader', () => {
  it(
    'finds a reader that does not check the checksum',
    async () => {
      const trusting: ValidEntryLength = (bytes, at, end) => {
        if (at + format.ENTRY_HEADER_BYTES > end) return 0;
        const length = bytes.readUInt32LE(at);
        return length < format.ENTRY_HEADER_BYTES || at + length > end ? 0 : length;
      };
      expect(await fuzz(trusting)).toBe(true);
    },
    TEST_LIMIT_MS,
  );

  it(
    'finds a reader that takes an entry whose length goes beyond the end',
    async () => {
      const greedy: ValidEntryLength = (bytes, at, end, position) => {
        if (at + format.ENTRY_HEADER_BYTES > end) return 0;
        const length = bytes.readUInt32LE(at);
        return at + length > end ? length : right(bytes, at, end, position);
      };
      expect(await fuzz(greedy)).toBe(true);
    },
    TEST_LIMIT_MS,
  );

  it('finds nothing wrong with ours', async () => expect(await fuzz(right)).toBe(false), TEST_LIMIT_MS);
});
