import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { Gauge } from 'prom-client';
import { BROKER_PORT, type BrokerPort } from '#libs/messaging';
import { LOGGER, Metrics } from '#libs/service-kit';
import { RedisStock } from '#libs/redis-stock';
import { PrismaClient } from '#prisma/stock';
import { driftOf, isDrift, isSameDrift, sizeOf, type Drift } from '../domain/drift.js';
import { RebuildStock } from '../rebuild-stock/rebuild-stock.js';
import { RecordSync } from '../rebuild-stock/record-sync.js';

/** Holds that are added up every time, in the middle of a sale; with more, the counters alone are compared. */
const MAX_HOLDS = 10_000;
const MOVEMENT_GROUPS = ['stock.deduct', 'stock.confirm', 'stock.rollback', 'stock.return'];

/**
 * Compares Redis with the ledger, reports what differs, and repairs it when nothing on its way can
 * explain it: it was the same the last time, and no movement waits to be processed.
 */
@Injectable()
export class ReconcileStock {
  private readonly seen = new Map<string, Drift>();
  private readonly drift: Gauge<'ticket_type'>;

  constructor(
    private readonly database: PrismaClient,
    private readonly stock: RedisStock,
    private readonly rebuildStock: RebuildStock,
    private readonly recordSync: RecordSync,
    @Inject(BROKER_PORT) private readonly broker: BrokerPort,
    @Inject(LOGGER) private readonly logger: Logger,
    metrics: Metrics,
  ) {
    this.drift = new Gauge({
      name: 'stock_drift_tickets',
      help: 'Tickets by which Redis and the ledger differ at worst; movements on their way included.',
      labelNames: ['ticket_type'] as const,
      registers: [metrics.registry],
    });
  }

  async execute(): Promise<void> {
    const ticketTypes = await this.database.ticketType.findMany({ select: { id: true } });
    for (const { id } of ticketTypes) await this.reconcile(id);
  }

  private async reconcile(ticketTypeId: string): Promise<void> {
    const drift = await this.driftOf(ticketTypeId);
    // Lost counters are not a drift; VerifyStock rebuilds them.
    if (drift === undefined) return;
    if (!isDrift(drift)) {
      this.seen.delete(ticketTypeId);
      return;
    }
    const isStable = isSameDrift(this.seen.get(ticketTypeId), drift);
    this.seen.set(ticketTypeId, drift);
    if (!isStable || !(await this.isQuiet())) return;
    await this.repair(ticketTypeId, drift);
  }

  private async repair(ticketTypeId: string, drift: Drift): Promise<void> {
    const result = await this.rebuildStock.execute(ticketTypeId);
    const left = await this.driftOf(ticketTypeId);
    if (left && isDrift(left)) {
      // For example re-acquired stock whose order was never paid: the ledger cannot know, an operator has to.
      this.logger.error(
        { ticketTypeId, drift, left },
        'Redis differs from the ledger, and rebuilding does not help',
      );
      return;
    }
    this.seen.delete(ticketTypeId);
    this.logger.warn({ ticketTypeId, drift, ...result }, 'Redis differed from the ledger; repaired');
    await this.recordSync.execute(ticketTypeId, 'repaired', result);
  }

  private async driftOf(ticketTypeId: string): Promise<Drift | undefined> {
    const redis = await this.stock.audit(ticketTypeId, MAX_HOLDS);
    const ledger = await this.database.ticketType.findUnique({
      where: { id: ticketTypeId },
      select: { quantity: true, sold: true },
    });
    if (redis === undefined || ledger === null) return undefined;
    const drift = driftOf({ redis, ledger });
    this.drift.set({ ticket_type: ticketTypeId }, sizeOf(drift));
    return drift;
  }

  /** Dead letters are in no lag: what they would explain is repaired, and redriving them stays harmless. */
  private async isQuiet(): Promise<boolean> {
    const groups = await this.broker.admin.groups();
    return groups.every(({ group, lag }) => !MOVEMENT_GROUPS.includes(group) || lag === 0);
  }
}
