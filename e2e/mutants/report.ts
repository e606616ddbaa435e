import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Mutant } from './mutant.js';
import type { Run } from './sandbox.js';

export type Outcome = Mutant & { run: Run };

/** Killed by a failing test or because it hung; or as it was explained, alive. Anything else is a finding. */
export function isAsItShouldBe({ run: { outcome }, equivalent }: Outcome): boolean {
  if (equivalent !== undefined) return outcome === 'passed';
  return outcome === 'failed' || outcome === 'timed-out';
}

/** One line for one mutant. */
export function lineOf(outcome: Outcome): string {
  const { id, run, equivalent } = outcome;
  const seconds = `${(run.ms / 1000).toFixed(1)} s`;
  if (isAsItShouldBe(outcome)) {
    return equivalent === undefined
      ? `killed  ${id} (${seconds}): ${run.by}`
      : `same    ${id} (${seconds}): ${equivalent}`;
  }
  if (run.outcome === 'passed') return `LIVES   ${id} (${seconds}): ${outcome.file}`;
  return `WRONG   ${id} (${seconds}): ${run.outcome} ${run.by ?? ''}`;
}

/** What the sources were, and when. */
export type Occasion = { commit: string; ranAt: string; seed: number };

/** What became of every mutant of one guarantee; committed as `results/<guarantee>.json`. */
type Result = Occasion & { outcomes: readonly Outcome[] };

const resultOf = (dir: string, guarantee: string): string => join(dir, `${guarantee}.json`);

/** Replaces what an earlier run found out about this guarantee. */
export async function save(dir: string, occasion: Occasion, outcomes: readonly Outcome[]): Promise<void> {
  const [first] = outcomes;
  if (first === undefined) return;
  const result: Result = {
    ...occasion,
    outcomes: outcomes.toSorted((one, other) => one.id.localeCompare(other.id)),
  };
  await mkdir(dir, { recursive: true });
  await writeFile(resultOf(dir, first.guarantee), `${JSON.stringify(result, undefined, 2)}\n`);
}

const isSame = (one: Mutant, other: Mutant): boolean =>
  one.id === other.id && one.file === other.file && one.find === other.find && one.put === other.put;

/** Writes `results/README.md`: what the last run of each guarantee found, and which of the list it did not plant. */
export async function summarize(dir: string, list: readonly Mutant[]): Promise<void> {
  const saved = new Set(await readdir(dir));
  const guarantees = [...new Set(list.map(({ guarantee }) => guarantee))].sort();
  const rows: (string | number)[][] = [];
  const findings: string[] = [];
  for (const guarantee of guarantees) {
    const listed = list.filter((mutant) => mutant.guarantee === guarantee);
    const result = saved.has(`${guarantee}.json`)
      ? (JSON.parse(await readFile(resultOf(dir, guarantee), 'utf8')) as Result)
      : undefined;
    const outcomes = listed.flatMap(
      (mutant) => result?.outcomes.find((outcome) => isSame(outcome, mutant)) ?? [],
    );
    rows.push([
      guarantee,
      listed.length,
      ...countsOf(outcomes),
      listed.length - outcomes.length,
      result?.commit ?? '',
      result?.ranAt.slice(0, 16) ?? '',
    ]);
    findings.push(...outcomes.filter((outcome) => !isAsItShouldBe(outcome)).map(lineOf));
  }
  const head = ['planted', 'a test failed', 'hung', 'explained', 'lives', 'not run', 'commit', 'at'];
  const sums = [1, 2, 3, 4, 5, 6].map((at) => rows.reduce((sum, row) => sum + Number(row[at]), 0));
  const table = tableIn(['guarantee', ...head], [...rows, ['all', ...sums, '', '']]);
  const notes = findings.map((line) => `\n    ${line}`).join('');
  const text = `# What became of the planted faults\n\nWritten by \`npm run mutants\`. Each guarantee as of its last whole run; its file names every slip and the test that failed.\n\n${table}\n${notes === '' ? '' : `${notes}\n`}`;
  await writeFile(join(dir, 'README.md'), text);
}

/** Per guarantee, as a table in Markdown. */
export function tableOf(outcomes: readonly Outcome[]): string {
  const guarantees = [...new Set(outcomes.map(({ guarantee }) => guarantee))].sort();
  const rowOf = (name: string, those: readonly Outcome[]): (string | number)[] => [
    ...[name, those.length],
    ...countsOf(those),
  ];
  return tableIn(
    ['guarantee', 'planted', 'a test failed', 'hung', 'explained', 'lives'],
    [
      ...guarantees.map((guarantee) =>
        rowOf(
          guarantee,
          outcomes.filter((outcome) => outcome.guarantee === guarantee),
        ),
      ),
      rowOf('all', outcomes),
    ],
  );
}

/** A test failed, hung, explained, lives. */
function countsOf(outcomes: readonly Outcome[]): number[] {
  const right = outcomes.filter(isAsItShouldBe);
  const killed = (how: Run['outcome']): number => right.filter(({ run }) => run.outcome === how).length;
  return [killed('failed'), killed('timed-out'), killed('passed'), outcomes.length - right.length];
}

function tableIn(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const rule = head.map((name) => (['guarantee', 'commit', 'at'].includes(name) ? '---' : '---:'));
  return [head, rule, ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}
