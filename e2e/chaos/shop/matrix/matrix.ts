import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Refusal } from '../../../verdict/shop-access.js';
import { diceOf } from '../../dice.js';
import { numberOption } from '../../number-option.js';
import { ShopUnderChaos } from '../shop-under-chaos.js';
import { merged, pageOf, type MatrixRecord } from './matrix-page.js';
import { ALL_CELLS, runCells, type Cell } from './run-matrix.js';
import { STEPS } from './steps.js';

/** Short, so that what has to time out does; longer than any one fault. */
const PAYMENT_TIMEOUT_MS = 15_000;
const HOLD_TIMEOUT_MS = 10_000;

const RECORD = 'e2e/chaos/results/crash-matrix.json';
const PAGE = 'docs/crash-matrix.md';
const USAGE =
  'usage: npm run chaos -- --matrix [--steps NAME,NAME…] [--sample N] [--seed S] [--write] [--keep]';

type MatrixOptions = { cells: readonly Cell[]; write: boolean; keep: boolean };

/**
 * `npm run chaos -- --matrix`: every fault at every step. `--sample N` takes N cells that a seed decides; `--write`
 * puts what was found into docs/crash-matrix.md, beside what earlier runs found of other steps. False when a
 * cell broke a promise, or was not reached.
 */
export async function crashMatrix(args: readonly string[]): Promise<boolean> {
  const { cells, write, keep } = readOptions(args);
  const dir = mkdtempSync(join(tmpdir(), 'stampede-crash-matrix-'));
  process.stdout.write(`crash matrix: ${cells.length} cells, in ${dir}\n`);
  const shop = await ShopUnderChaos.start(dir, {
    PAYMENT_TIMEOUT_MS: String(PAYMENT_TIMEOUT_MS),
    HOLD_TIMEOUT_MS: String(HOLD_TIMEOUT_MS),
    LOG_LEVEL: 'warn',
  });
  const stop = (): void => void shop.destroy().finally(() => process.exit(130));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  let ok = false;
  try {
    const found = await runCells(shop, cells, PAYMENT_TIMEOUT_MS, (line) =>
      process.stdout.write(`  ${line}\n`),
    );
    ok = found.every(({ result }) => result === 'held');
    if (write) record({ cells: found.map((cell) => ({ ...cell, ...stamp() })) });
  } finally {
    await shop.destroy();
    if (ok && !keep) rmSync(dir, { recursive: true, force: true });
    else process.stdout.write(`the logs are in ${dir}\n`);
  }
  process.stdout.write(ok ? 'every promise was kept\n' : 'promises were broken\n');
  return ok;
}

function readOptions(args: readonly string[]): MatrixOptions {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: { matrix: flag, steps: text, sample: text, seed: text, write: flag, keep: flag },
    }));
  } catch (error) {
    throw new Refusal(`${(error as Error).message.split(/\.[ \n]/)[0]}; ${USAGE}`);
  }
  const number = numberOption(USAGE);
  const steps = values.steps?.split(',').map((name) => name.trim());
  const unknown = steps?.find((name) => !STEPS.some((step) => step.name === name));
  if (unknown !== undefined) throw new Refusal(`there is no step "${unknown}"; ${USAGE}`);
  const cells = ALL_CELLS.filter(({ step }) => steps?.includes(step.name) ?? true);
  const seed = number('seed', values.seed ?? String(Date.now() % 2 ** 31), 0, 2 ** 31);
  const { sample } = values;
  return {
    cells:
      sample === undefined
        ? cells
        : sampleOf(cells, Math.floor(number('sample', sample, 1, cells.length)), seed),
    write: values.write ?? false,
    keep: values.keep ?? false,
  };
}

/** In the order of the table, so that the cells of one step stay together. */
function sampleOf(cells: readonly Cell[], count: number, seed: number): Cell[] {
  const { random } = diceOf(seed);
  const places = cells
    .map((cell) => ({ cell, place: random() }))
    .sort((one, other) => one.place - other.place);
  const taken = new Set(places.slice(0, count).map(({ cell }) => cell));
  return cells.filter((cell) => taken.has(cell));
}

const stamp = (): { commit: string; at: string } => ({
  commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
  at: new Date().toISOString().slice(0, 10),
});

function record(found: MatrixRecord): void {
  const earlier = existsSync(RECORD)
    ? (JSON.parse(readFileSync(RECORD, 'utf8')) as MatrixRecord)
    : { cells: [] };
  const all = merged(earlier, found);
  writeFileSync(RECORD, `${JSON.stringify(all, null, 1)}\n`);
  writeFileSync(PAGE, pageOf(all));
}
