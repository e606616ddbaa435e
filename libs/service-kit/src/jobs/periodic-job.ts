import type { Logger } from 'pino';

/** Runs something again and again, never twice at once; a failure is logged and the next run goes ahead. */
export class PeriodicJob {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private stopped = true;
  private failing = false;

  constructor(
    private readonly name: string,
    private readonly intervalMs: number,
    private readonly work: () => Promise<void>,
    private readonly logger: Logger,
  ) {}

  /** The first run starts at once; each further one `intervalMs` after the end of the one before. */
  start(): void {
    this.stopped = false;
    this.runNow();
  }

  /** Does not wait for the interval. While a run is on, nothing is started. */
  runNow(): void {
    if (this.stopped || this.running !== undefined) return;
    clearTimeout(this.timer);
    this.running = this.run().finally(() => {
      this.running = undefined;
      if (!this.stopped) this.timer = setTimeout(() => this.runNow(), this.intervalMs);
    });
  }

  /** Resolves when the run that is on, if any, has ended. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private async run(): Promise<void> {
    try {
      await this.work();
      this.failing = false;
    } catch (error) {
      // Once per outage: a database that is away for an hour should not fill the log.
      if (!this.failing)
        this.logger.warn({ err: error, job: this.name }, 'a periodic job failed; it goes on trying');
      this.failing = true;
    }
  }
}
