import type { CellResult } from './run-matrix.js';
import { FAULTS, FAULT_NAMES } from './faults.js';
import { STEPS } from './steps.js';

/** What is known of the matrix, cell by cell; kept as JSON beside the page. */
export type MatrixRecord = {
  cells: (CellResult & { commit: string; at: string })[];
};

/** `earlier` with the cells that were run anew. */
export function merged(earlier: MatrixRecord, later: MatrixRecord): MatrixRecord {
  const nameOf = ({ step, fault }: CellResult): string => `${step}/${fault}`;
  const cells = new Map([...earlier.cells, ...later.cells].map((cell) => [nameOf(cell), cell]));
  const inOrder = STEPS.flatMap(({ name: step }) =>
    FAULT_NAMES.flatMap((fault) => cells.get(`${step}/${fault}`) ?? []),
  );
  return { cells: inOrder };
}

const SIGNS = { held: 'held', broken: '**broken**', 'not reached': 'not reached' } as const;

/** `docs/crash-matrix.md`. */
export function pageOf({ cells }: MatrixRecord): string {
  const signOf = (step: string, fault: string): string => {
    const cell = cells.find((each) => each.step === step && each.fault === fault);
    return cell === undefined ? '–' : SIGNS[cell.result];
  };
  const commits = [...new Set(cells.map(({ commit }) => commit))];
  const count = (result: CellResult['result']): number =>
    cells.filter((cell) => cell.result === result).length;
  const broken = cells.filter(({ violations }) => violations.length > 0);
  return [
    '# What if it dies here?',
    '',
    'Every step of an order that writes, and what can happen there. Written by `npm run chaos -- --matrix --write`, which starts the shop,',
    'has a proxy between any two of its processes wait for the very request, and strikes before it is',
    'forwarded or after it was done. At the end of each step’s cells the shop comes to rest, its verdict must hold, and every',
    'answer that a buyer got is held against the books ([how](../e2e/chaos/README.md)).',
    '',
    ...FAULT_NAMES.map((fault) => `- **${fault}**: ${FAULTS[fault]}`),
    '',
    `| step | what | who asks whom | ${FAULT_NAMES.join(' | ')} |`,
    `| --- | --- | --- | ${FAULT_NAMES.map(() => '---').join(' | ')} |`,
    ...STEPS.map(
      ({ name, what, writer, peer }) =>
        `| ${name} | ${what} | ${writer} → ${peer} | ${FAULT_NAMES.map((fault) => signOf(name, fault)).join(' | ')} |`,
    ),
    '',
    `${cells.length} of ${STEPS.length * FAULT_NAMES.length} cells were run: ${count('held')} held, ${count('broken')} broken, ${count('not reached')} not reached (the step was not taken within the time). Commits: ${commits.join(', ') || 'none'}.`,
    '',
    'The relay of an outbox is not in the table: the shop’s services send half messages. Its steps, from the local write to the deletion',
    'of the row, are tried [by themselves](../e2e/outbox/crash-points.ts). What a killed broker, Redis or Postgres does is the random run’s subject.',
    ...(broken.length === 0 ? [] : ['', '## Broken', '']),
    ...broken.map(({ step, fault, violations }) => `- ${step}, ${fault}: ${violations.join('; ')}`),
    '',
  ].join('\n');
}
