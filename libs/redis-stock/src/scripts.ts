import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';

type Arg = string | number;
type Code = number;

/** The scripts as ioredis calls them: keys first, then arguments. Their headers say which. */
export interface StockScripts {
  stockReserve(...args: [string, string, string, string, ...Arg[]]): Promise<(number | string)[]>;
  stockClaim(...args: [string, string, string, ...Arg[]]): Promise<Code[]>;
  stockMarkSold(...args: [string, string, string, string, string, ...Arg[]]): Promise<Code[]>;
  stockRelease(...args: [string, string, string, string, string, ...Arg[]]): Promise<Code[]>;
  stockReacquire(...args: [string, string, string, string, ...Arg[]]): Promise<Code>;
  stockReap(...args: [string, string, string, string, string, ...Arg[]]): Promise<string[]>;
  stockRebuild(...args: [string, string, string, string, string, string, ...Arg[]]): Promise<string[][]>;
  stockSetEpoch(...args: [string, string, Arg]): Promise<Code>;
  stockMayRun(...args: [string, ...Arg[]]): Promise<string[]>;
  stockAudit(...args: [string, string, string, ...Arg[]]): Promise<string[]>;
}

// Beside this module in the sources and, copied by the build, in dist.
const read = (file: string): string => readFileSync(new URL(`./lua/${file}.lua`, import.meta.url), 'utf8');

/** Teaches a connection the scripts. Each is sent once and then called by its hash. */
export function defineStockScripts(redis: Redis): Redis & StockScripts {
  const clock = read('clock');
  const hold = clock + read('hold');
  const define = (name: string, numberOfKeys: number, lua: string): void =>
    redis.defineCommand(name, { numberOfKeys, lua });

  // Reserve is the hot path and formats its holds itself: building closures on every call would cost more than it saves.
  define('stockReserve', 4, clock + read('reserve'));
  define('stockClaim', 3, read('claim'));
  define('stockMarkSold', 5, hold + read('mark-sold'));
  define('stockRelease', 5, hold + read('release'));
  define('stockReacquire', 4, hold + read('reacquire'));
  define('stockReap', 5, hold + read('reap'));
  define('stockRebuild', 6, hold + read('rebuild'));
  define('stockAudit', 3, hold + read('audit'));
  define('stockSetEpoch', 2, read('set-epoch'));
  define('stockMayRun', 1, read('may-run'));
  return redis as Redis & StockScripts;
}
