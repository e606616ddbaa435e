import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { BROKER_PORT, MessagingError, type BrokerPort } from '#libs/messaging';
import { LOGGER } from '#libs/service-kit';
import { serviceUnavailable } from '../domain/errors.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';

const PROBE_TIMEOUT_MS = 1_000;
const PROBE_PAUSE_MS = 100;

/**
 * Keeps requests from a broker that is away: each would take a hold that nobody can be told about, wait for the
 * whole timeout, and keep its tickets from other buyers until the reaper comes.
 *
 *     open ── a send fails or is late ──> shut ── the broker answers a probe ──> half-open
 *      ^                                   ^                                      │    ^
 *      │                                   │                          one request │    │ … which sent nothing
 *      └──────────── its send succeeds ────┴──── its send fails ──────────────── trying
 *
 * The one request is the point of it: a broker may answer probes and still store nothing (its disk hangs).
 */
@Injectable()
export class BrokerGate {
  private state: 'open' | 'shut' | 'half-open' | 'trying' = 'open';

  constructor(
    @Inject(BROKER_PORT) private readonly broker: BrokerPort,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /**
   * Does work that will end in a `send`, unless the broker is known to be away.
   *
   * @throws {DomainError} `SERVICE_UNAVAILABLE` without having begun, while the gate is shut.
   */
  async pass<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.state === 'open') return work();
    if (this.state !== 'half-open') throw serviceUnavailable('Nothing can be queued right now.');
    this.state = 'trying';
    try {
      return await work();
    } finally {
      if (this.isTrying()) this.state = 'half-open';
    }
  }

  /**
   * Waits for the broker's receipt, for at most `SUBMIT_TIMEOUT_MS`.
   *
   * @throws {MessagingError} `REQUEST_TIMEOUT` when none came in time: it may be stored, or be stored yet.
   */
  async send<Receipt>(send: () => Promise<Receipt>): Promise<Receipt> {
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<never>((_resolve, reject) => {
      const limitMs = this.config.SUBMIT_TIMEOUT_MS;
      timer = setTimeout(
        () => reject(new MessagingError('REQUEST_TIMEOUT', `no receipt within ${limitMs} ms`)),
        limitMs,
      );
    });
    try {
      const receipt = await Promise.race([send(), deadline]);
      if (this.isTrying()) this.open();
      return receipt;
    } catch (error) {
      if (error instanceof MessagingError && error.kind === 'transient') this.shut(error);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** As a question, because the state changes while a caller waits, which the compiler does not see. */
  private isTrying(): boolean {
    return this.state === 'trying';
  }

  private open(): void {
    this.state = 'open';
    this.logger.info('the broker is back; taking orders again');
  }

  private shut(cause: MessagingError): void {
    if (this.state === 'shut') return;
    if (this.state === 'open') {
      this.logger.warn({ err: cause }, 'orders cannot be queued; refusing them until the broker takes one');
    }
    this.state = 'shut';
    void this.probe();
  }

  /** Ends when the broker answers, or with the process: the pause does not keep it alive. */
  private async probe(): Promise<void> {
    do {
      await new Promise((resolve) => setTimeout(resolve, PROBE_PAUSE_MS).unref());
    } while (!(await this.answers()));
    this.state = 'half-open';
  }

  private async answers(): Promise<boolean> {
    try {
      await this.broker.ready(PROBE_TIMEOUT_MS);
      return true;
    } catch (error) {
      // Expected for as long as the broker is away: the warning was written when it went.
      this.logger.debug({ err: error }, 'the broker is still away');
      return false;
    }
  }
}
