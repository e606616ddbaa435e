import { parseArgs } from 'node:util';

/** How much is measured. */
export type Sizes = {
  /** Of sending, per run. */
  seconds: number;
  warmUpSeconds: number;
  latencyPerSecond: number;
  latencySeconds: number;
  fanOutMessages: number;
  /** Pairs of brokers with and without the trace, turns of each pair, and messages of a turn. */
  traceRounds: number;
  traceTurns: number;
  traceMessages: number;
  timers: number;
  /** Timers of the delivery's lateness fall due over so long. */
  timerSpreadSeconds: number;
  /** Due within one second. */
  timerHerd: number;
  /** Pending while the broker's memory is measured. */
  pendingTimers: number;
  backlogMessages: number;
  /** Consumed from the backlog, and from a broker that holds nothing else. */
  backlogConsumed: number;
  reopenMb: number;
  topics: number;
  idleSeconds: number;
};

const FULL: Sizes = {
  seconds: 6,
  warmUpSeconds: 2,
  latencyPerSecond: 1_000,
  latencySeconds: 20,
  fanOutMessages: 300_000,
  traceRounds: 8,
  traceTurns: 30,
  traceMessages: 10_000,
  timers: 1_000_000,
  timerSpreadSeconds: 100,
  timerHerd: 200_000,
  pendingTimers: 10_000_000,
  backlogMessages: 10_000_000,
  backlogConsumed: 1_000_000,
  reopenMb: 1_024,
  topics: 1_000,
  idleSeconds: 15,
};

const QUICK: Sizes = {
  seconds: 0.6,
  warmUpSeconds: 0.4,
  latencyPerSecond: 1_000,
  latencySeconds: 1.5,
  fanOutMessages: 20_000,
  traceRounds: 2,
  traceTurns: 2,
  traceMessages: 2_000,
  timers: 50_000,
  timerSpreadSeconds: 5,
  timerHerd: 20_000,
  pendingTimers: 100_000,
  backlogMessages: 200_000,
  backlogConsumed: 50_000,
  reopenMb: 32,
  topics: 50,
  idleSeconds: 2,
};

export type BenchOptions = {
  /** Benchmarks to run; empty: all. */
  names: string[];
  /** Contenders to compare; absent: all. */
  contenders: string[] | undefined;
  runs: number;
  quick: boolean;
  /** Sends under way at once, for every contender. */
  inFlight: number;
  sizes: Sizes;
};

export const USAGE = `npm run bench -- broker [names…] [options]

  --quick              tiny sizes and one run: shows that it works, not how fast
  --runs N             runs of each measurement, of which the median counts (default 3)
  --only a,b           contenders to compare (default: all that can be started)
  --in-flight N        sends under way at once (default 4,000)
`;

/** @throws with a line for the user when an option is not known or not a number */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      runs: { type: 'string' },
      only: { type: 'string' },
      'in-flight': { type: 'string', default: '4000' },
    },
  });
  const { quick } = values;
  return {
    names: positionals,
    contenders: values.only?.split(','),
    runs: count('--runs', values.runs ?? (quick ? '1' : '3')),
    quick,
    inFlight: count('--in-flight', values['in-flight']),
    sizes: quick ? QUICK : FULL,
  };
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`${name} is ${text}, it must be a whole number from 1`);
  return value;
}
