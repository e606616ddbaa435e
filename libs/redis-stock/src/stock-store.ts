import type { Redis } from 'ioredis';
import { UnavailableError } from '#libs/messaging';
import { COMMANDS, fitnessOf, isTooOld, type Fitness } from './fitness.js';
import { defineStockScripts, type StockScripts } from './scripts.js';
import { TICKET_TYPES_KEY } from './stock-keys.js';

/**
 * The Redis behind a connection. It is looked at once per connection, because another server may answer the
 * next one, and nothing is written to one that is not fit: a script that it stops half-way would leave
 * tickets that belong to nobody.
 */
export class StockStore {
  readonly redis: Redis & StockScripts;
  #known: Fitness | undefined;
  #looking: Promise<Fitness> | undefined;
  #connection = 0;

  constructor(
    redis: Redis,
    /** Told of every look. */
    private readonly report: (fitness: Fitness) => void = () => undefined,
  ) {
    this.redis = defineStockScripts(redis);
    redis.on('close', () => {
      this.#connection += 1;
      this.forget();
    });
  }

  /** The next call looks anew. */
  forget(): void {
    this.#known = undefined;
    this.#looking = undefined;
  }

  /**
   * What is known of this connection's Redis.
   * @throws {UnavailableError} `SERVICE_UNAVAILABLE` when no stock is kept there.
   */
  async fit(): Promise<Fitness> {
    const fitness = this.#known ?? (await (this.#looking ??= this.look()));
    const [refusal] = fitness.refusals;
    if (refusal === undefined) return fitness;
    throw new UnavailableError('SERVICE_UNAVAILABLE', 'The stock counters cannot be used right now.', 1_000, {
      cause: new Error(refusal),
    });
  }

  /** Looks at the Redis, however lately that was done. Rejects when it cannot be asked. */
  async look(): Promise<Fitness> {
    const connection = this.#connection;
    try {
      const info = await this.redis.info();
      const denied = isTooOld(info)
        ? undefined
        : await this.redis.stockMayRun(`${TICKET_TYPES_KEY}:any`, ...COMMANDS);
      const fitness = fitnessOf(info, denied);
      if (connection === this.#connection) this.#known = fitness;
      this.report(fitness);
      return fitness;
    } finally {
      if (connection === this.#connection) this.#looking = undefined;
    }
  }

  /**
   * Runs `work` on a connection of its own, where a command may take `timeoutMs`, and does not keep the
   * others waiting for their answers.
   */
  async patiently<Result>(
    timeoutMs: number,
    work: (redis: Redis & StockScripts) => Promise<Result>,
  ): Promise<Result> {
    const patient = this.redis.duplicate({ commandTimeout: timeoutMs, socketTimeout: timeoutMs });
    patient.on('error', () => {
      // Fails the commands on it, and those are waited for.
    });
    try {
      return await work(defineStockScripts(patient));
    } finally {
      patient.disconnect();
    }
  }
}
