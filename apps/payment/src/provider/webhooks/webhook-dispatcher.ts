import {
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import type { Logger } from 'pino';
import { Agent, request } from 'undici';
import { PaymentWebhookHeaders } from '#libs/contracts';
import { CLOCK, LOGGER, type Clock } from '#libs/service-kit';
import { signWebhook } from '../../domain/webhook-signature.js';
import { PAYMENT_CONFIG, type PaymentConfig } from '../../payment.config.js';
import { WebhookQueue, type DueWebhook } from './webhook-queue.js';

const MAX_IN_FLIGHT = 64;
/** Below `TAKEN_MS`: a request has ended before its webhook is due again. */
const REQUEST_TIMEOUT_MS = 10_000;
const MIN_PAUSE_MS = 5;
/** Also how late a webhook of another process of ours can be seen. */
const MAX_PAUSE_MS = 1_000;
const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 30_000;

/** 200 ms, 400 ms, … 30 s, each up to half longer: an outage must not end with everything at once. */
export function retryDelayMs(attempts: number, random = Math.random()): number {
  return Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempts - 1, 20)) * (1 + random / 2);
}

/**
 * Sends webhooks until each has been answered with 2xx. One loop keeps up to `MAX_IN_FLIGHT` requests
 * going; it sleeps until something is due, finishes or is added.
 */
@Injectable()
export class WebhookDispatcher implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly agent = new Agent({ connections: MAX_IN_FLIGHT });
  private readonly inFlight = new Set<Promise<void>>();
  private answered: bigint[] = [];
  private stopping = false;
  private isAwake = false;
  private wake: (() => void) | undefined;
  private loop: Promise<void> | undefined;

  constructor(
    private readonly queue: WebhookQueue,
    @Inject(PAYMENT_CONFIG) private readonly config: PaymentConfig,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  onApplicationBootstrap(): void {
    this.loop = this.run();
  }

  /** Before the database is closed. What was not answered is due again for the next process. */
  async beforeApplicationShutdown(): Promise<void> {
    this.stopping = true;
    this.wakeUp();
    await this.loop;
    await Promise.all(this.inFlight);
    await this.recordAnswered();
    await this.agent.close();
  }

  /** Something was added that may be due. */
  wakeUp(): void {
    this.isAwake = true;
    this.wake?.();
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      try {
        await this.step();
      } catch (error) {
        this.logger.warn({ err: error }, 'webhooks wait: their queue cannot be read or written');
        await this.sleep(MAX_PAUSE_MS);
      }
    }
  }

  private async step(): Promise<void> {
    this.isAwake = false;
    await this.recordAnswered();
    const room = MAX_IN_FLIGHT - this.inFlight.size;
    const due = room > 0 ? await this.queue.take(room) : [];
    for (const webhook of due) this.start(webhook);
    // All that was asked for: there may be more.
    if (due.length > 0 && due.length === room) return;
    await this.sleep(room > 0 ? await this.pauseMs() : MAX_PAUSE_MS);
  }

  private async pauseMs(): Promise<number> {
    const nextMs = await this.queue.nextDueInMs();
    return Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, nextMs ?? MAX_PAUSE_MS));
  }

  private async sleep(ms: number): Promise<void> {
    if (this.isAwake || this.stopping) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.wake = undefined;
  }

  private start(webhook: DueWebhook): void {
    const sending = this.send(webhook).finally(() => {
      this.inFlight.delete(sending);
      this.wakeUp();
    });
    this.inFlight.add(sending);
  }

  /** Never rejects: what goes wrong is tried again. */
  private async send({ id, body, attempts }: DueWebhook): Promise<void> {
    let problem: unknown;
    try {
      const seconds = Math.floor(this.clock.now() / 1000);
      const response = await request(this.config.WEBHOOK_URL, {
        dispatcher: this.agent,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          [PaymentWebhookHeaders.timestamp]: String(seconds),
          [PaymentWebhookHeaders.signature]: signWebhook(this.config.PAYMENT_WEBHOOK_SECRET, seconds, body),
        },
        body,
        headersTimeout: REQUEST_TIMEOUT_MS,
        bodyTimeout: REQUEST_TIMEOUT_MS,
      });
      await response.body.dump();
      if (response.statusCode < 300) {
        this.answered.push(id);
        return;
      }
      problem = new Error(`answered with ${response.statusCode}`);
    } catch (error) {
      problem = error;
    }
    this.logger.debug({ err: problem, attempts }, 'a webhook was not taken');
    try {
      await this.queue.postpone(id, retryDelayMs(attempts));
    } catch (error) {
      // It is due again by itself when the time it was taken for has passed.
      this.logger.warn({ err: error }, 'a webhook could not be postponed');
    }
  }

  private async recordAnswered(): Promise<void> {
    const ids = this.answered;
    if (ids.length === 0) return;
    this.answered = [];
    try {
      await this.queue.delivered(ids);
    } catch (error) {
      this.answered.push(...ids);
      throw error;
    }
  }
}
