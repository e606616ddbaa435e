import { it as jestIt } from '@jest/globals';

/** Why an implementation does not keep a promise, by the title of its test; of a whole section with `*`. */
export type Refusals = Readonly<Record<string, Readonly<Record<string, string>>>>;

let refusedTitles: Readonly<Record<string, string>> = {};

/** While `describeSection` runs, `it` leaves out what is refused: it is reported as skipped, never as kept. */
export function withRefusals(refusals: Refusals, section: string, describeSection: () => void): void {
  refusedTitles = refusals[section] ?? {};
  try {
    describeSection();
  } finally {
    refusedTitles = {};
  }
}

const isRefused = (title: string): boolean => '*' in refusedTitles || title in refusedTitles;

/** A promise of the port. */
export const it = Object.assign(
  (title: string, test: () => Promise<void>): void => (isRefused(title) ? jestIt.skip : jestIt)(title, test),
  {
    each:
      <Row>(rows: readonly Row[]) =>
      (title: string, test: (row: Row) => Promise<void>): void =>
        (isRefused(title) ? jestIt.skip : jestIt).each([...rows])(title, test),
  },
);
