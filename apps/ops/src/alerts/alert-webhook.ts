import { setTimeout as wait } from 'node:timers/promises';
import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Logger } from 'pino';
import type { AlertView } from '#libs/contracts';
import { LOGGER } from '#libs/service-kit';
import { OPS_CONFIG, type OpsConfig } from '../ops.config.js';

const MAX_TRIES = 5;
const FIRST_DELAY_MS = 500;
const TIMEOUT_MS = 5_000;
/** Calls under way at once; more are dropped with a log line, the alert itself is in the database. */
const MAX_UNDER_WAY = 100;

/** Tells `ALERT_WEBHOOK_URL` of an alert's beginning and end. */
@Injectable()
export class AlertWebhook implements OnModuleDestroy {
  private readonly stopping = new AbortController();
  private underWay = 0;

  constructor(
    @Inject(OPS_CONFIG) private readonly config: Pick<OpsConfig, 'ALERT_WEBHOOK_URL'>,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  onModuleDestroy(): void {
    this.stopping.abort();
  }

  /** Resolves when the receiver has taken it or all tries are used up; never rejects. */
  async announce(alert: AlertView): Promise<void> {
    const url = this.config.ALERT_WEBHOOK_URL;
    if (url === undefined) return;
    if (this.underWay >= MAX_UNDER_WAY) {
      this.logger.error({ alert: alert.name }, 'too many alert webhooks under way, this one is dropped');
      return;
    }
    this.underWay += 1;
    try {
      await this.deliver(url, alert);
    } catch (error) {
      this.logger.error({ err: error, alert: alert.name }, `alert webhook failed ${MAX_TRIES} times`);
    } finally {
      this.underWay -= 1;
    }
  }

  private async deliver(url: string, alert: AlertView): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.post(url, alert);
      } catch (error) {
        if (attempt === MAX_TRIES || this.stopping.signal.aborted) throw error;
        await wait(FIRST_DELAY_MS * 2 ** (attempt - 1), undefined, { signal: this.stopping.signal });
      }
    }
  }

  private async post(url: string, alert: AlertView): Promise<void> {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(alert),
      signal: AbortSignal.any([this.stopping.signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    // The answer's body is of no use, and left unread it would hold the connection.
    await response.body?.cancel();
    if (!response.ok) throw new Error(`the alert webhook answered ${response.status}`);
  }
}
