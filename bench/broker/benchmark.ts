import { CONTENDERS } from './contenders/contenders.js';
import type { Contender, RunningBroker } from './contenders/contender.js';
import type { BenchOptions } from './options.js';
import { inTemporaryDir } from './processes.js';

/** One number that was measured, and what else is known of that run. */
export type Run = { value: number; details?: Record<string, unknown> };

/** One line of the result: what one contender reached in one discipline, by every run. */
export type Row = {
  benchmark: string;
  /** What exactly was measured, where a benchmark has several figures or sizes. */
  variant: string;
  contender: string;
  durability?: string;
  unit: string;
  better: 'higher' | 'lower';
  /** What issue 3 asks of our broker. */
  target?: number;
  runs: Run[];
  /** Why there are no runs. */
  skipped?: string;
};

export type Bench = {
  options: BenchOptions;
  /** Says what is going on, on stderr. */
  progress(text: string): void;
};

export type Benchmark = {
  name: string;
  title: string;
  run(bench: Bench): Promise<Row[]>;
};

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

export type RowOf = Omit<Row, 'contender' | 'durability' | 'runs' | 'skipped' | 'benchmark'>;

/**
 * The same for every contender that takes part: starts it, measures each variant `options.runs` times
 * on it (when quick, only the first one), stops it. One that cannot be started has rows that say why.
 */
export async function compare<Variant extends RowOf>(
  bench: Bench,
  benchmark: string,
  all: readonly Variant[],
  measure: (contender: Contender, broker: RunningBroker, variant: Variant, run: number) => Promise<Run>,
): Promise<Row[]> {
  const rows: Row[] = [];
  const variants = bench.options.quick ? all.slice(0, 1) : all;
  for (const contender of CONTENDERS.filter((each) => takesPart(bench.options, benchmark, each))) {
    const own = variants.map((variant): Row => rowFor(benchmark, variant, contender));
    rows.push(...own);
    try {
      await onBroker(contender, async (broker) => {
        for (let index = 0; index < variants.length; index++) {
          const [variant, row] = [variants[index], own[index]];
          if (variant === undefined || row === undefined) continue;
          for (let run = 0; run < bench.options.runs; run++) {
            const result = await measure(contender, broker, variant, run);
            row.runs.push(result);
            bench.progress(
              `${benchmark}, ${contender.title}, ${variant.variant}: ${format(result.value)} ${row.unit}`,
            );
          }
        }
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      bench.progress(`${benchmark}, ${contender.title}: ${reason}`);
      for (const row of own) if (row.runs.length < bench.options.runs) row.skipped = reason;
    }
  }
  return rows;
}

export function onBroker<Result>(
  contender: Contender,
  work: (broker: RunningBroker) => Promise<Result>,
): Promise<Result> {
  return inTemporaryDir(async (dir) => {
    const broker = await contender.start(dir);
    try {
      return await work(broker);
    } finally {
      await broker.stop();
    }
  });
}

function takesPart({ contenders }: BenchOptions, benchmark: string, { name, onlyIn }: Contender): boolean {
  return (contenders?.includes(name) ?? true) && (onlyIn?.includes(benchmark) ?? true);
}

function rowFor(benchmark: string, variant: RowOf, contender: Contender): Row {
  const { variant: what, unit, better, target } = variant;
  const row: Row = {
    benchmark,
    variant: what,
    contender: contender.title,
    durability: contender.durability,
    unit,
    better,
    runs: [],
  };
  if (contender.name === 'stampede' && target !== undefined) row.target = target;
  return row;
}

/** Repeats `measure` and puts its figures into one row each. */
export async function repeat<Figure extends string>(
  bench: Bench,
  benchmark: string,
  figures: Record<Figure, RowOf>,
  measure: () => Promise<Readonly<Record<NoInfer<Figure>, number>> & { details?: Record<string, unknown> }>,
): Promise<Row[]> {
  const names = Object.keys(figures) as Figure[];
  const rows = names.map((name): Row => ({
    benchmark,
    contender: 'Stampede broker',
    runs: [],
    ...figures[name],
  }));
  for (let run = 0; run < bench.options.runs; run++) {
    const measured = await measure();
    const { details } = measured;
    names.forEach((name, index) => {
      rows[index]?.runs.push({ value: measured[name], ...(details === undefined ? {} : { details }) });
    });
    const said = names.map(
      (name) => `${figures[name].variant} ${format(measured[name])} ${figures[name].unit}`,
    );
    bench.progress(`${benchmark}: ${said.join(', ')}`);
  }
  return rows;
}

export function format(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}
