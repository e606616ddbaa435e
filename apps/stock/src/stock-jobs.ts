import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { Health, LOGGER, PeriodicJob, REDIS } from '#libs/service-kit';
import { ReapHolds } from './reap-holds/reap-holds.js';
import { VerifyStock } from './rebuild-stock/verify-stock.js';
import { ReleaseOrphans } from './release-orphans/release-orphans.js';
import { ReconcileStock } from './reconcile-stock/reconcile-stock.js';
import { SeedShows } from './seed-shows/seed-shows.js';
import { STOCK_CONFIG, type StockConfig } from './stock.config.js';

/** What the service does by the clock. All of it may run in several instances at once. */
@Injectable()
export class StockJobs implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly verify: PeriodicJob;
  private readonly jobs: readonly PeriodicJob[];

  constructor(
    @Inject(STOCK_CONFIG) private readonly config: StockConfig,
    @Inject(LOGGER) logger: Logger,
    @Inject(REDIS) private readonly redis: Redis,
    private readonly seedShows: SeedShows,
    verifyStock: VerifyStock,
    reapHolds: ReapHolds,
    reconcileStock: ReconcileStock,
    releaseOrphans: ReleaseOrphans,
    health: Health,
  ) {
    this.verify = new PeriodicJob('verify', config.VERIFY_INTERVAL_MS, () => verifyStock.execute(), logger);
    this.jobs = [
      this.verify,
      new PeriodicJob('reap', config.REAP_INTERVAL_MS, () => reapHolds.execute(), logger),
      new PeriodicJob(
        'release-orphans',
        config.RECONCILE_INTERVAL_MS,
        () => releaseOrphans.execute(),
        logger,
      ),
      new PeriodicJob('reconcile', config.RECONCILE_INTERVAL_MS, () => reconcileStock.execute(), logger),
    ];
    health.register('stock', () =>
      verifyStock.isVerified
        ? Promise.resolve()
        : Promise.reject(new Error('Redis is not verified against the ledger yet')),
    );
  }

  async onApplicationBootstrap(): Promise<void> {
    if (this.config.SEED_SHOWS) await this.seedShows.execute();
    // A new connection may be to a Redis that has restarted: no reason to wait for the interval.
    this.redis.on('ready', () => this.verify.runNow());
    for (const job of this.jobs) job.start();
  }

  async onModuleDestroy(): Promise<void> {
    await Promise.all(this.jobs.map((job) => job.stop()));
  }
}
