import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Logger } from 'pino';
import { Gauge } from 'prom-client';
import { BROKER_PORT, type BrokerPort, type GroupInfo, type StorageInfo } from '#libs/messaging';
import { LOGGER, Metrics } from '#libs/service-kit';
import type { Alert } from '#prisma/ops';
import { DeadLetterStore } from '../collect-dead-letters/dead-letter-store.js';
import {
  ANOMALY_PREFIX,
  breachOfAnomaly,
  breachOfStorage,
  STORAGE_ALERT,
  decideAlerts,
  isAnomaly,
  kindOfAnomaly,
  resolvedOf,
  type Anomaly,
  type GroupLoad,
} from '../domain/alert.js';
import { STANDSTILL_PREFIX, Standstills } from '../domain/standstill.js';
import { OPS_CONFIG, type OpsConfig } from '../ops.config.js';
import { AlertStore } from './alert-store.js';
import { toAlertView } from './alert-view.js';
import { AlertWebhook } from './alert-webhook.js';

/** Nothing but time ends an alert of something that happened: whoever looks once a day sees it. */
const ANOMALY_FIRES_MS = 86_400_000;

/**
 * Raises an alert once when a group's dead letters pass the threshold, or it gets no work done, or the broker's disk is nearly full,
 * and resolves it when that is over: in the database, the log, a metric and the webhook.
 */
@Injectable()
export class AlertWatch implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly deadLetters: Gauge<'group'>;
  private readonly firing: Gauge<'alert'>;
  private interval: NodeJS.Timeout | undefined;
  private round: Promise<void> | undefined;
  /** A reason to look came while a round was under way, which may have read too early to see it. */
  private again = false;
  private stopped = false;
  private readonly standstills = new Standstills();

  constructor(
    private readonly store: DeadLetterStore,
    private readonly alerts: AlertStore,
    private readonly webhook: AlertWebhook,
    @Inject(BROKER_PORT) private readonly broker: BrokerPort,
    @Inject(OPS_CONFIG) private readonly config: OpsConfig,
    metrics: Metrics,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    const registers = [metrics.registry];
    this.deadLetters = new Gauge({
      name: 'stampede_dead_letters',
      help: 'Dead letters that nobody has redriven or discarded.',
      labelNames: ['group'] as const,
      registers,
    });
    this.firing = new Gauge({
      name: 'stampede_alert_firing',
      help: '1 while the alert fires.',
      labelNames: ['alert'] as const,
      registers,
    });
  }

  onApplicationBootstrap(): void {
    this.interval = setInterval(() => this.look(), this.config.ALERT_INTERVAL_MS);
    this.look();
  }

  async onModuleDestroy(): Promise<void> {
    this.stopped = true;
    clearInterval(this.interval);
    await this.round;
  }

  /** Looks now, or once more when a look is under way. Does not wait for it. */
  look(): void {
    if (this.stopped) return;
    if (this.round !== undefined) {
      this.again = true;
      return;
    }
    this.round = this.lookOnce()
      .catch((error: unknown) => this.logger.warn({ err: error }, 'alerts could not be looked after'))
      .finally(() => {
        this.round = undefined;
        if (!this.again) return;
        this.again = false;
        this.look();
      });
  }

  /** One round: raises what should fire, resolves what no longer should. */
  async lookOnce(nowMs = performance.now()): Promise<void> {
    const groups = await this.groups();
    const loads = await this.loads(groups);
    this.deadLetters.reset();
    for (const { group, deadLetters } of loads) this.deadLetters.set({ group }, deadLetters);

    const firingNow = await this.alerts.firing();
    const firingNames = firingNow.map(({ name }) => name);
    const decision = decideAlerts(loads, firingNames, {
      count: this.config.DEAD_LETTER_ALERT_COUNT,
      ratio: this.config.DEAD_LETTER_ALERT_RATIO,
    });
    // Of a broker that does not answer nothing is known: what fires goes on.
    if (groups !== undefined) {
      const standing = this.standstills.observe(groups, nowMs, firingNames);
      decision.firing.push(...standing);
      decision.resolved.push(...resolvedOf(STANDSTILL_PREFIX, standing, firingNames));
    }
    const storage = await this.storage();
    if (storage !== undefined) {
      const full = breachOfStorage(storage);
      decision.firing.push(...full);
      decision.resolved.push(...resolvedOf(STORAGE_ALERT, full, firingNames));
    }
    this.firing.reset();
    for (const { name } of decision.firing) this.firing.set({ alert: name }, 1);
    for (const { name } of firingNow.filter(isAnomaly)) this.firing.set({ alert: kindOfAnomaly(name) }, 1);
    for (const breach of decision.firing) {
      const raised = await this.alerts.raise(breach);
      if (raised !== undefined) this.tell(raised);
    }
    for (const name of decision.resolved) {
      const resolved = await this.alerts.resolve(name);
      if (resolved !== undefined) this.tell(resolved);
    }
    for (const old of await this.alerts.resolveOld(ANOMALY_PREFIX, ANOMALY_FIRES_MS)) this.tell(old);
  }

  /** Raises the alert of something that happened once. A repeat may tell of it again, and raises no second one. */
  async raiseAnomaly(anomaly: Anomaly): Promise<void> {
    const raised = await this.alerts.raiseOnce(breachOfAnomaly(anomaly));
    if (raised === undefined) return;
    this.firing.set({ alert: kindOfAnomaly(raised.name) }, 1);
    this.tell(raised);
  }

  /** Undefined when the broker does not answer: counting must work without it, unless a ratio needs to know what was handled. */
  private async groups(): Promise<GroupInfo[] | undefined> {
    try {
      return await this.broker.admin.groups();
    } catch (error) {
      if (this.config.DEAD_LETTER_ALERT_RATIO !== undefined) throw error;
      this.logger.debug({ err: error }, 'the broker does not tell how its groups stand');
      return undefined;
    }
  }

  /** Undefined when the broker does not answer, or is of a version that does not know. */
  private async storage(): Promise<StorageInfo | undefined> {
    try {
      return await this.broker.admin.storage();
    } catch (error) {
      this.logger.debug({ err: error }, 'the broker does not tell how full its disk is');
      return undefined;
    }
  }

  private async loads(groups: readonly GroupInfo[] = []): Promise<GroupLoad[]> {
    const counts = await this.store.countByGroup();
    const handled = new Map(groups.map(({ group, acked }) => [group, acked]));
    return [...counts].map(([group, deadLetters]) => ({
      group,
      deadLetters,
      handled: handled.get(group) ?? 0,
    }));
  }

  private tell(alert: Alert): void {
    const view = toAlertView(alert);
    this.logger.warn({ alert: view }, `alert ${view.status}: ${view.name}`);
    void this.webhook.announce(view);
  }
}
