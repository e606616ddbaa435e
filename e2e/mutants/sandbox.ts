import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { plantedIn, type Mutant } from './mutant.js';

/** What the specs of a tree need of it; `dist` is not among it, so specs of built programs cannot run here. */
const COPIED = [
  'apps',
  'libs',
  'e2e',
  'prisma',
  'scripts',
  'docker-compose.yml',
  'docs',
  '.config',
  '.swcrc',
  'package.json',
  'tsconfig.json',
];

export type Run = {
  /** `broken`: the specs could not even be loaded, which proves nothing. */
  outcome: 'passed' | 'failed' | 'timed-out' | 'broken';
  ms: number;
  /** The first test that failed, or why there is none. */
  by?: string;
};

/** A copy of the sources of its own, in which slips are planted one at a time. */
export class Sandbox {
  private readonly report: string;
  private readonly failure: string;
  private readonly temporary: string;

  private constructor(
    private readonly dir: string,
    private readonly databaseUrl: string,
  ) {
    this.report = join(dir, 'report.json');
    this.failure = join(dir, 'first-failure');
    this.temporary = join(dir, 'tmp');
  }

  /** @param databaseUrl of a server on which each spec makes a database of its own */
  static async of(root: string, databaseUrl: string): Promise<Sandbox> {
    const dir = await mkdtemp(join(tmpdir(), 'stampede-mutants-'));
    const tree = join(dir, 'tree');
    await mkdir(tree);
    for (const each of COPIED) await cp(join(root, each), join(tree, each), { recursive: true });
    await symlink(join(root, 'node_modules'), join(tree, 'node_modules'));
    return new Sandbox(dir, databaseUrl);
  }

  remove(): Promise<void> {
    return rm(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }

  async runWith(mutant: Mutant, timeoutMs: number): Promise<Run> {
    const file = join(this.dir, 'tree', mutant.file);
    const source = await readFile(file, 'utf8');
    await writeFile(file, plantedIn(source, mutant));
    try {
      return await this.run(mutant.specs, timeoutMs);
    } finally {
      await writeFile(file, source);
    }
  }

  /** Runs one spec after another until one fails. */
  async run(specs: readonly string[], timeoutMs: number): Promise<Run> {
    const startedMs = performance.now();
    const spentMs = (): number => Math.round(performance.now() - startedMs);
    for (const spec of specs) {
      const run = await this.runOne(spec, timeoutMs - spentMs());
      if (run.outcome !== 'passed') return { ...run, ms: spentMs() };
    }
    return { outcome: 'passed', ms: spentMs() };
  }

  private async runOne(spec: string, timeoutMs: number): Promise<Omit<Run, 'ms'>> {
    for (const left of [this.report, this.failure, this.temporary])
      await rm(left, { recursive: true, force: true });
    await mkdir(this.temporary);
    const inTime = await this.jest(spec, timeoutMs);
    if (existsSync(this.failure)) return { outcome: 'failed', by: await readFile(this.failure, 'utf8') };
    return inTime ? readReport(this.report) : { outcome: 'timed-out', by: `nothing within ${timeoutMs} ms` };
  }

  /** False when it had to be ended. */
  private jest(spec: string, timeoutMs: number): Promise<boolean> {
    const program = join('node_modules', 'jest', 'bin', 'jest.js');
    const args = [
      ...['--config', '.config/jest.config.mjs', '--cacheDirectory', join(this.dir, 'cache')],
      ...['--runInBand', '--forceExit', '--reporters', './e2e/mutants/first-failure.mjs'],
      ...['--json', '--outputFile', this.report, '--runTestsByPath', spec],
    ];
    const env = {
      ...process.env,
      ...{ TEST_DATABASE_URL: this.databaseUrl, CI: 'true', NODE_ENV: 'test' },
      // What a run that was ended leaves behind goes with the sandbox.
      ...{ TMPDIR: this.temporary, FIRST_FAILURE_FILE: this.failure },
    };
    // A group of its own, so that a spec that fails or hangs is ended with the servers it has started.
    const child = spawn(process.execPath, ['--experimental-vm-modules', program, ...args], {
      ...{ cwd: join(this.dir, 'tree'), env },
      ...{ stdio: 'ignore', detached: true },
    });
    return new Promise((resolve, reject) => {
      let inTime = true;
      const timer = setTimeout(() => {
        inTime = false;
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      }, timeoutMs);
      child.once('error', reject);
      child.once('exit', () => {
        clearTimeout(timer);
        resolve(inTime);
      });
    });
  }
}

type Report = {
  numPassedTests: number;
  testResults: {
    status: string;
    message: string;
    assertionResults: { status: string; fullName: string }[];
  }[];
};

async function readReport(file: string): Promise<Omit<Run, 'ms'>> {
  let report: Report;
  try {
    report = JSON.parse(await readFile(file, 'utf8')) as Report;
  } catch {
    return { outcome: 'broken', by: 'jest left no report' };
  }
  for (const { status, message, assertionResults } of report.testResults) {
    const failed = assertionResults.find((test) => test.status === 'failed');
    if (failed !== undefined) return { outcome: 'failed', by: failed.fullName };
    if (status === 'failed') return { outcome: 'broken', by: firstLine(message) };
  }
  // A spec without a test that ran proves nothing either.
  if (report.numPassedTests === 0) return { outcome: 'broken', by: 'no test ran' };
  return { outcome: 'passed' };
}

/** Without the colours of a terminal. */
function firstLine(message: string): string {
  const plain = message.replaceAll(/\u001b\[[0-9;]*m/g, '');
  return (
    plain
      .split('\n')
      .find((line) => line.trim() !== '' && !line.includes('●'))
      ?.trim() ?? 'no reason given'
  );
}
