import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench, Benchmark, Row } from './benchmark.js';
import { backlog } from './benchmarks/backlog.js';
import { consume } from './benchmarks/consume.js';
import { fanOut } from './benchmarks/fan-out.js';
import { idle } from './benchmarks/idle.js';
import { inProcess } from './benchmarks/in-process.js';
import { latency } from './benchmarks/latency.js';
import { reopen } from './benchmarks/reopen.js';
import { send } from './benchmarks/send.js';
import { timers } from './benchmarks/timers.js';
import { trace } from './benchmarks/trace.js';
import { describeCommit, describeMachine } from './machine.js';
import { USAGE, parseOptions } from './options.js';
import type { BenchOptions } from './options.js';
import { killStarted } from './processes.js';
import { tableOf } from './report.js';
import { killWorkers } from './worker-process.js';

/** In the order of issue 3's table. */
const BENCHMARKS: readonly Benchmark[] = [
  send,
  consume,
  latency,
  inProcess,
  fanOut,
  timers,
  backlog,
  reopen,
  idle,
  trace,
];
/** Beside the sources, wherever the built bench is run from. */
const RESULTS = 'bench/results';

export async function benchBroker(args: readonly string[]): Promise<void> {
  const names = BENCHMARKS.map(({ name }) => name);
  if (args.includes('--help')) {
    process.stdout.write(`${USAGE}\nNames: ${names.join(', ')}\n`);
    return;
  }
  const options = optionsOrExit(args, names);
  stopChildrenWithUs();

  const startedAt = new Date();
  // Now: it may have moved on by the end.
  const commit = describeCommit();
  const bench: Bench = { options, progress: (text) => process.stderr.write(`  ${text}\n`) };
  const rows: Row[] = [];
  const failed: string[] = [];
  for (const benchmark of BENCHMARKS) {
    if (options.names.length > 0 && !options.names.includes(benchmark.name)) continue;
    process.stderr.write(`${benchmark.title}\n`);
    try {
      const measured = await benchmark.run(bench);
      rows.push(...measured);
      process.stdout.write(`\n## ${benchmark.title}\n\n${tableOf(measured)}\n`);
    } catch (error) {
      // The others are still worth having; the exit code tells.
      failed.push(benchmark.name);
      process.stderr.write(
        `${benchmark.name} failed: ${error instanceof Error ? error.stack : String(error)}\n`,
      );
    }
  }
  const file = join(
    RESULTS,
    `broker-${startedAt.toISOString().replace(/[:.]/g, '-')}${options.quick ? '-quick' : ''}.json`,
  );
  const result = {
    startedAt,
    endedAt: new Date(),
    commit,
    machine: describeMachine(),
    options,
    failed,
    rows,
  };
  await mkdir(RESULTS, { recursive: true });
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`);
  process.stdout.write(`\nRaw figures: ${file}\n`);
  if (failed.length > 0) process.exitCode = 1;
}

function optionsOrExit(args: readonly string[], names: readonly string[]): BenchOptions {
  try {
    const options = parseOptions(args);
    const unknown = options.names.find((name) => !names.includes(name));
    if (unknown !== undefined) throw new Error(`no benchmark is called ${unknown}`);
    return options;
  } catch (error) {
    process.stderr.write(
      `${error instanceof Error ? error.message : String(error)}\n\n${USAGE}\nNames: ${names.join(', ')}\n`,
    );
    process.exit(1);
  }
}

function stopChildrenWithUs(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      killWorkers();
      killStarted();
      process.exit(130);
    });
  }
}
