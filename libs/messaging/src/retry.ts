/**
 * When a failed message is tried again. A policy is a pure function of the attempt and of a random
 * number, so that a specification can say exactly what it answers.
 */
export interface RetryPolicy {
  /** Deliveries in all, the first one included. After the last one fails, the message is dead-lettered. */
  readonly attempts: number;
  /** Milliseconds to wait after `attempt` (1 for the first) has failed. `random` gives numbers from 0 to below 1. */
  delayMs(attempt: number, random: () => number): number;
}

export type BackoffOptions = {
  attempts: number;
  firstDelayMs: number;
  /** Each delay is this many times the one before it. Default 2. */
  factor?: number;
  /** Default one minute. */
  maxDelayMs?: number;
  /** Part of each delay that is random, 0 to 1. Default 0.2: a delay of 1,000 ms becomes 800 to 1,000 ms. */
  jitter?: number;
};

/**
 * Exponential back-off: a failing dependency gets time, a short hiccup costs little. The jitter keeps
 * messages that failed together from coming back together, and only ever shortens a delay.
 */
export function backoff(options: BackoffOptions): RetryPolicy {
  const { attempts, firstDelayMs, factor = 2, maxDelayMs = 60_000, jitter = 0.2 } = options;
  assertAttempts(attempts);
  if (firstDelayMs < 0 || maxDelayMs < 0) throw new RangeError('a delay cannot be negative');
  if (factor < 1) throw new RangeError(`factor is ${factor}; below 1 the delays would shrink`);
  if (jitter < 0 || jitter > 1) throw new RangeError(`jitter is ${jitter}, it must be from 0 to 1`);
  return {
    attempts,
    delayMs: (attempt, random) => {
      const fullMs = Math.min(firstDelayMs * factor ** (attempt - 1), maxDelayMs);
      return Math.round(fullMs * (1 - jitter * random()));
    },
  };
}

/** The same delay every time. */
export function fixedInterval({ attempts, everyMs }: { attempts: number; everyMs: number }): RetryPolicy {
  assertAttempts(attempts);
  if (everyMs < 0) throw new RangeError('a delay cannot be negative');
  return { attempts, delayMs: () => everyMs };
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** RocketMQ's `messageDelayLevel`: "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h". */
const ROCKETMQ_LEVELS_MS: readonly number[] = [
  ...[1, 5, 10, 30].map((seconds) => seconds * SECOND),
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2].map((hours) => hours * HOUR),
];

/** Milliseconds of a RocketMQ delay level, 1 to 18. As there, a higher level is level 18 and a lower one no delay. */
export function delayLevelMs(level: number): number {
  return ROCKETMQ_LEVELS_MS[Math.min(level, ROCKETMQ_LEVELS_MS.length) - 1] ?? 0;
}

/** RocketMQ's consumers start at level 3, 10 s (`DefaultMQPushConsumer`: level 3 + times reconsumed). */
const FIRST_RETRY_LEVEL = 3;

/** Retries at the delays of RocketMQ: 10 s, 30 s, 1 min, 2 min … 2 h. Its own default is 16 attempts. */
export function rocketmqLevels({ attempts }: { attempts: number }): RetryPolicy {
  assertAttempts(attempts);
  return { attempts, delayMs: (attempt) => delayLevelMs(FIRST_RETRY_LEVEL + attempt - 1) };
}

/** Ten deliveries over about a hundred seconds: long enough for a dependency to be restarted. */
export const DEFAULT_RETRY: RetryPolicy = backoff({ attempts: 10, firstDelayMs: 200 });

function assertAttempts(attempts: number): void {
  if (!Number.isInteger(attempts) || attempts < 1) {
    throw new RangeError(`attempts is ${attempts}, it must be a whole number of at least 1`);
  }
}
