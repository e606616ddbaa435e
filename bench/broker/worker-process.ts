import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { pathOf } from './contenders/stampede.js';

/**
 * A part of a benchmark that runs in a process of its own: `workers/<name>`, told what to do by one JSON
 * argument. It prints lines of JSON: `{"ready":true}` if others wait for it, its result last.
 */
export class WorkerProcess<Result> {
  readonly ready: Promise<void>;
  readonly result: Promise<Result>;

  constructor(name: string, job: object, nodeArgs: readonly string[] = workerArgs(name)) {
    const child = spawn(
      process.execPath,
      [...nodeArgs, pathOf(`./workers/${name}`, import.meta.url), JSON.stringify(job)],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    running.add(child);
    let markReady: () => void;
    this.ready = new Promise((resolve) => (markReady = resolve));
    let last: string | undefined;
    createInterface({ input: child.stdout }).on('line', (line) => {
      last = line;
      if (line === READY_LINE) markReady();
    });
    this.result = new Promise((resolve, reject) => {
      child.once('error', reject);
      // `close` rather than `exit`: by then all its lines have been read.
      child.once('close', (code, signal) => {
        running.delete(child);
        markReady();
        if (code === 0 && last !== undefined) resolve(JSON.parse(last) as Result);
        else reject(new Error(`worker ${name} ended with ${signal ?? code}`));
      });
    });
    // Whoever waits for `ready` first must not leave this unhandled.
    this.result.catch(() => undefined);
  }
}

const running = new Set<{ kill(signal: 'SIGKILL'): boolean }>();

/** When the bench is interrupted. */
export function killWorkers(): void {
  for (const child of running) child.kill('SIGKILL');
}

/**
 * For the clients of all contenders alike: with thousands of messages under way, Node's default of 16 MB
 * makes the garbage collector copy each of them several times, which is what would be measured.
 */
const YOUNG_GENERATION = '--max-semi-space-size=64';

/** `BENCH_WORKER_ARGS_PRODUCER="--cpu-prof …"` profiles the worker `producer`. */
export function workerArgs(name: string): string[] {
  const variable = `BENCH_WORKER_ARGS_${name.toUpperCase().replaceAll('-', '_')}`;
  return [YOUNG_GENERATION, ...(process.env[variable] ?? '').split(' ').filter(Boolean)];
}

const READY_LINE = '{"ready":true}';

/** In the worker: what it is to do. */
export const jobOf = <Job>(): Job => JSON.parse(process.argv[2] ?? '{}') as Job;

/** In the worker: the others may start. */
export function sayReady(): void {
  process.stdout.write(`${READY_LINE}\n`);
}

/** In the worker: its last words. */
export async function finish(result: object): Promise<never> {
  await new Promise((resolve) => process.stdout.write(`${JSON.stringify(result)}\n`, resolve));
  process.exit(0);
}

/** User and system time of this process so far. */
export function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
