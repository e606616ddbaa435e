/**
 * `npm run mutants -- [--sample 0.1 --seed N] [--only REGEX] [--jobs N]`: plants the faults of the list one
 * at a time and runs the specs nearest to each. Exit 1 when one lives that the list does not explain. What a run
 * without `--sample` finds out about guarantees of which it plants every fault replaces their files in `results`.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostgres } from '#libs/service-kit/testing';
import { numberOption } from '../chaos/number-option.js';
import { repositoryRoot } from '../../libs/service-kit/src/testing/repository-root.js';
import { seededRandom } from '../load/schedule.js';
import { Refusal } from '../verdict/shop-access.js';
import { MUTANTS } from './list/index.js';
import type { Mutant } from './mutant.js';
import { isAsItShouldBe, lineOf, save, summarize, tableOf, type Occasion, type Outcome } from './report.js';
import { Sandbox, type Run } from './sandbox.js';

const USAGE = 'usage: npm run mutants -- [--sample FRACTION --seed N] [--only REGEX] [--jobs N]';
/** A spec that has not ended by then hangs; what it takes without a fault is measured first. */
const SLOWEST_SPEC_MS = 240_000;
/** A fault may slow a spec down, by its own waits above all: only far beyond its usual time is it called a hang. */
const PATIENCE_MS = 30_000;
const PATIENCE_TIMES = 4;

const RESULTS = join(repositoryRoot(), 'e2e/mutants/results');

type Options = {
  mutants: readonly Mutant[];
  jobs: number;
  seed: number;
  /** Whose results are kept. */
  wholeGuarantees: ReadonlySet<string>;
};

function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      sample: { type: 'string', default: '1' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      only: { type: 'string', default: '' },
      jobs: { type: 'string', default: '2' },
    },
  });
  const number = numberOption(USAGE);
  const sample = number('sample', values.sample, 0, 1);
  const seed = number('seed', values.seed, 0, 2 ** 31);
  const only = new RegExp(values.only);
  const random = seededRandom(seed);
  const drawn = MUTANTS.map((mutant) => ({ mutant, draw: random() }))
    .toSorted((one, other) => one.draw - other.draw)
    .slice(0, Math.ceil(MUTANTS.length * sample))
    .map(({ mutant }) => mutant);
  const mutants = drawn.filter(({ id }) => only.test(id));
  if (mutants.length === 0) throw new Refusal(`nothing in the list is called ${values.only}; ${USAGE}`);
  console.log(`${mutants.length} of ${MUTANTS.length} mutants, seed ${seed}`);
  const partly = new Set(
    MUTANTS.filter((mutant) => sample < 1 || !mutants.includes(mutant)).map(({ guarantee }) => guarantee),
  );
  const wholeGuarantees = new Set(
    mutants.map(({ guarantee }) => guarantee).filter((guarantee) => !partly.has(guarantee)),
  );
  return { mutants, seed, jobs: Math.floor(number('jobs', values.jobs, 1, 16)), wholeGuarantees };
}

/** Of the sources that are about to be copied. */
function occasion(seed: number): Occasion {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: repositoryRoot(), encoding: 'utf8' }).trim();
  const isChanged = git('status', '--porcelain', '--', '.', ':!e2e/mutants/results') !== '';
  const commit = git('rev-parse', '--short=10', 'HEAD') + (isChanged ? ' and what was not committed' : '');
  return { commit, ranAt: new Date().toISOString(), seed };
}

async function main(): Promise<boolean> {
  const { mutants, jobs, seed, wholeGuarantees } = readOptions(process.argv.slice(2));
  const startedMs = performance.now();
  const now = wholeGuarantees.size === 0 ? undefined : occasion(seed);
  const postgres = await startPostgres({ migrated: false });
  const sandboxes: Sandbox[] = [];
  try {
    for (let made = 0; made < jobs; made++)
      sandboxes.push(await Sandbox.of(repositoryRoot(), postgres.adminUrl));
    const usual = await usualRuns(sandboxes, mutants);
    const outcomes: Outcome[] = [];
    await share(sandboxes, bySpec(mutants), async (sandbox, mutant) => {
      const runs = mutant.specs.map((spec) => usual.get(spec));
      const red = runs.find((each) => each?.outcome !== 'passed');
      const usualMs = runs.reduce((sum, each) => sum + (each?.ms ?? 0), 0);
      const run: Run =
        red === undefined
          ? await sandbox.runWith(mutant, PATIENCE_MS + PATIENCE_TIMES * usualMs)
          : { outcome: 'broken', ms: 0, by: `fails without a fault: ${red.by ?? ''}` };
      const outcome = { ...mutant, run };
      outcomes.push(outcome);
      console.log(lineOf(outcome));
      if (now === undefined || !wholeGuarantees.has(mutant.guarantee)) return;
      const those = outcomes.filter(({ guarantee }) => guarantee === mutant.guarantee);
      const planted = mutants.filter(({ guarantee }) => guarantee === mutant.guarantee);
      // What proved nothing (the machine was too busy for a spec) replaces nothing that did.
      const isProof = those.every(({ run }) => run.outcome !== 'broken');
      if (isProof && those.length === planted.length) await save(RESULTS, now, those);
    });
    if (now !== undefined) await summarize(RESULTS, MUTANTS);
    const minutes = (performance.now() - startedMs) / 60_000;
    console.log(`\n${tableOf(outcomes)}\n\n${minutes.toFixed(1)} minutes, seed ${seed}`);
    for (const outcome of outcomes) if (!isAsItShouldBe(outcome)) console.log(lineOf(outcome));
    return outcomes.every(isAsItShouldBe);
  } finally {
    await Promise.all(sandboxes.map((sandbox) => sandbox.remove()));
    await postgres.stop();
  }
}

/** What each spec takes when nothing is wrong. One that fails even so is tried once more, alone, and proves nothing then. */
async function usualRuns(
  sandboxes: readonly Sandbox[],
  mutants: readonly Mutant[],
): Promise<Map<string, Run>> {
  const specs = [...new Set(mutants.flatMap((mutant) => mutant.specs))];
  const usual = new Map<string, Run>();
  await share(sandboxes, specs, async (sandbox, spec) => {
    usual.set(spec, await sandbox.run([spec], SLOWEST_SPEC_MS));
  });
  const failed = specs.filter((spec) => usual.get(spec)?.outcome !== 'passed');
  await share(sandboxes.slice(0, 1), failed, async (sandbox, spec) => {
    const run = await sandbox.run([spec], SLOWEST_SPEC_MS);
    usual.set(spec, run);
    if (run.outcome !== 'passed') console.log(`RED     ${spec}: ${run.outcome}, ${run.by ?? ''}`);
  });
  console.log(`${specs.length} specs were run without a fault`);
  return usual;
}

/** Neighbours share what a sandbox has compiled already. */
const bySpec = (mutants: readonly Mutant[]): Mutant[] =>
  mutants.toSorted((one, other) => (one.specs[0] ?? '').localeCompare(other.specs[0] ?? ''));

/** Each item once, by whichever sandbox is free. */
async function share<Item>(
  sandboxes: readonly Sandbox[],
  items: readonly Item[],
  work: (sandbox: Sandbox, item: Item) => Promise<void>,
): Promise<void> {
  const waiting = [...items];
  await Promise.all(
    sandboxes.map(async (sandbox) => {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(sandbox, item);
    }),
  );
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  process.stderr.write(`mutants: ${error instanceof Refusal ? error.message : (error as Error).stack}\n`);
  process.exitCode = 1;
}
