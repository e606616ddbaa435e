import { mkdir, writeFile } from 'node:fs/promises';
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

/** Per guarantee, as a table in Markdown. */
export function tableOf(outcomes: readonly Outcome[]): string {
  const guarantees = [...new Set(outcomes.map(({ guarantee }) => guarantee))].sort();
  const rows = guarantees.map((guarantee) => {
    const those = outcomes.filter((outcome) => outcome.guarantee === guarantee);
    const count = (isOf: (outcome: Outcome) => boolean): number => those.filter(isOf).length;
    return [
      guarantee,
      those.length,
      count(({ run }) => run.outcome === 'failed'),
      count(({ run }) => run.outcome === 'timed-out'),
      count((outcome) => outcome.equivalent !== undefined && isAsItShouldBe(outcome)),
      count((outcome) => !isAsItShouldBe(outcome)),
    ];
  });
  const total = [1, 2, 3, 4, 5].map((column) => rows.reduce((sum, row) => sum + Number(row[column]), 0));
  return [
    ['guarantee', 'planted', 'a test failed', 'hung', 'explained', 'lives'],
    ['---', '---:', '---:', '---:', '---:', '---:'],
    ...rows,
    ['all', ...total],
  ]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n');
}

/** Writes what a full run found beside the list. */
export async function save(dir: string, outcomes: readonly Outcome[], minutes: number): Promise<void> {
  await mkdir(dir, { recursive: true });
  const byId = outcomes.toSorted((one, other) => one.id.localeCompare(other.id));
  const entries = byId.map(({ id, file, find, put, specs, equivalent, run }) => ({
    id,
    file,
    find,
    put,
    specs,
    ...(equivalent === undefined ? {} : { equivalent }),
    outcome: run.outcome,
    ...(run.by === undefined ? {} : { by: run.by }),
    ms: run.ms,
  }));
  await writeFile(join(dir, 'mutants.json'), `${JSON.stringify(entries, undefined, 2)}\n`);
  const lines = byId.map((outcome) => `- ${lineOf(outcome)}`);
  const text = `# Planted faults\n\n\`npm run mutants\`, ${minutes.toFixed(0)} minutes.\n\n${tableOf(outcomes)}\n\n${lines.join('\n')}\n`;
  await writeFile(join(dir, 'mutants.md'), text);
}
