/** One small slip in a line that carries a guarantee, and the specs that must fail with it. */
export type Mutant = {
  /** `<guarantee>/<name>`, the name says what the slip does. */
  id: string;
  guarantee: string;
  file: string;
  /** Stands exactly once in the file. */
  find: string;
  /** What stands there instead. */
  put: string;
  /** The specs nearest to the line, cheapest first. */
  specs: readonly string[];
  /** Why no spec can tell the slip from the original. Absent: it must not live. */
  equivalent?: string;
};

/** `[name, find, put]`; `specs` instead of the file's. */
export type Slip = readonly [
  name: string,
  find: string,
  put: string,
  more?: { specs?: readonly string[]; equivalent?: string },
];

/** Slips of one file that break one guarantee. */
export function slipsIn(
  file: string,
  guarantee: string,
  specs: readonly string[],
  slips: readonly Slip[],
): Mutant[] {
  return slips.map(([name, find, put, more]) => ({
    id: `${guarantee}/${name}`,
    ...{ guarantee, file, find, put, specs },
    ...more,
  }));
}

/** @throws {Error} when the text does not stand there exactly once, or nothing would change. */
export function plantedIn(source: string, { id, file, find, put }: Mutant): string {
  const times = source.split(find).length - 1;
  if (times !== 1)
    throw new Error(`${id}: ${JSON.stringify(find)} stands ${times} times in ${file}, not once`);
  const planted = source.replace(find, () => put);
  if (planted === source) throw new Error(`${id} changes nothing`);
  return planted;
}
