import { DEAD_LETTER_DEFAULTS, type DeadLetterRetention } from '../dead-letters/letter-retention.js';
import type { Files } from '../journal/files.js';
import { nodeFiles } from '../journal/files.js';
import { HORIZON_MS } from '../timers/far-timers.js';
import type { Flush } from '../topics/topics.js';
import { TRANSACTION_DEFAULTS, type TransactionOptions } from '../transactions/transactions.js';

import { RETENTION_DEFAULTS, type RetentionOptions } from './retention.js';

export type BrokerClock = {
  /** Epoch milliseconds. */
  now(): number;
  /** Milliseconds from any point in time, which no setting of the clock moves: leases are counted in them. Default: `now`. */
  monotonicMs?(): number;
};

export type BrokerOptions = {
  /** Data directory; made when it is not there. One broker at a time. */
  dir: string;
  /** Flush policy of topics that are made by their first send. Default `sync`. */
  flush?: Flush;
  /** Epoch milliseconds. Default: the machine's. A spec with its own clock calls `tick()` after it moved it. */
  clock?: BrokerClock;
  /** Default: the machine's file system. */
  files?: Files;
  /** Journal segment size. Default 64 MiB, at least 64 KiB. */
  segmentBytes?: number;
  /** Memory for the newest entries. Default 32 MiB. */
  tailCacheBytes?: number;
  /** Memory for older entries that are read again. Default 32 MiB. */
  readCacheBytes?: number;
  /** `async` topics are synced this long after a write at the latest. Default 1,000 ms. */
  asyncFlushMs?: number;
  /** … or once this much is not synced. Default 8 MiB. */
  asyncFlushBytes?: number;
  /** Space on the disk that the broker keeps for consumers to drain when there is no other (ADR 23). Default 8 MiB; 0: none. */
  reserveBytes?: number;
  /** What to do about damage before valid entries. Default `refuse`. */
  onDamage?: 'refuse' | 'quarantine';
  transactions?: Partial<TransactionOptions>;
  /** A message id repeated in its topic is recognised for this long, unless more than half of `maxIds` came meanwhile. Default 2 min, 1,000,000: the newest 500,000 are known for certain. */
  deduplication?: { windowMs?: number; maxIds?: number };
  /** When old segments are dropped. Default: after 7 days, no bound in bytes; never what is still needed. */
  retention?: Partial<RetentionOptions>;
  /** When dead letters are dropped that nobody redrove or discarded. Default: after 30 days, or when a group has more than 100,000. */
  deadLetters?: Partial<DeadLetterRetention>;
  /** Delayed messages that are due later take a quarter of the memory, and are read once more when that time comes near. Default 2 hours, at least 2 ms. */
  timerHorizonMs?: number;
  /** Steps of messages' lives that are remembered. Default 100,000; 0 switches the trace off, and removes its files. */
  traceSteps?: number;
  /** Told about things that no caller hears of: a failed journal, a record that cannot be read, what recovery cut off. Default: nobody. */
  onProblem?: (problem: { message: string; error?: unknown }) => void;
};

export type ResolvedOptions = Required<
  Omit<BrokerOptions, 'clock' | 'transactions' | 'deduplication' | 'retention' | 'deadLetters'>
> & {
  clock: Required<BrokerClock>;
  retention: RetentionOptions;
  deadLetters: DeadLetterRetention;
  transactions: TransactionOptions;
  deduplication: { windowMs: number; maxIds: number };
};

const MIB = 1024 * 1024;

const MACHINE_CLOCK: BrokerClock = { now: () => Date.now(), monotonicMs: () => performance.now() };

export function resolveOptions(options: BrokerOptions): ResolvedOptions {
  const { clock = MACHINE_CLOCK } = options;
  return {
    flush: 'sync',
    files: nodeFiles,
    tailCacheBytes: 32 * MIB,
    readCacheBytes: 32 * MIB,
    asyncFlushMs: 1_000,
    asyncFlushBytes: 8 * MIB,
    reserveBytes: 8 * MIB,
    onDamage: 'refuse',
    traceSteps: 100_000,
    onProblem: () => undefined,
    ...options,
    clock: { now: () => clock.now(), monotonicMs: () => clock.monotonicMs?.() ?? clock.now() },
    segmentBytes: Math.max(64 * 1024, options.segmentBytes ?? 64 * MIB),
    timerHorizonMs: Math.max(2, options.timerHorizonMs ?? HORIZON_MS),
    retention: { ...RETENTION_DEFAULTS, ...options.retention },
    deadLetters: { ...DEAD_LETTER_DEFAULTS, ...options.deadLetters },
    transactions: { ...TRANSACTION_DEFAULTS, ...options.transactions },
    deduplication: { windowMs: 120_000, maxIds: 1_000_000, ...options.deduplication },
  };
}
