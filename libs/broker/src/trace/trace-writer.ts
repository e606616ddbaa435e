import type { Files } from '../journal/files.js';
import type { Journal } from '../journal/journal.js';
import type { Actor } from './actors.js';
import { TraceFiles } from './trace-files.js';
import { type Batch, encodeBatch } from './trace-format.js';
import type { Trace } from './trace.js';

/** How long it leaves the disk alone after a write that failed. */
const RETRY_MS = 60_000;

/** What it needs of the engine. */
export interface TraceWriterHost {
  readonly journal: Pick<Journal, 'flush' | 'failed'>;
  monotonicMs(): number;
  report(problem: { message: string; error?: unknown }): void;
}

/**
 * Keeps the trace in files beside the journal, so that it outlives the process: once a second what is new, after the
 * records that it is of. No send and no ack waits for it, and its failure is none of theirs. What an end of the process takes are
 * the steps of the last second; a power cut, those that the system had not yet put on disk.
 */
export class TraceWriter {
  private readonly files: TraceFiles;
  /** Up to which step, counted as `Trace.total` counts, all are in files. */
  private written = 0;
  private running: Promise<void> | undefined;
  private retryAtMs = -Infinity;
  private isTold = false;
  /** Where the journal ended, when it ended before what was read back: the files do not say it yet. */
  private cutAt: number | undefined;

  constructor(
    private readonly host: TraceWriterHost,
    private readonly trace: Trace,
    files: Files,
    dir: string,
  ) {
    this.files = new TraceFiles(files, `${dir}/trace`, trace.size);
  }

  /**
   * Reads back what the last run wrote; without a trace, removes it. Never rejects.
   * @param end of the journal: what lay behind it is gone, and its place will be that of other records
   */
  async open(end: number): Promise<void> {
    try {
      if (this.trace.size === 0) return await this.files.remove();
      const actors = new Map<number, Actor>();
      await this.files.read(
        (batch) => this.restore(batch, actors),
        (message) => this.host.report({ message: `${message}; it is missing from the trace` }),
      );
      this.written = this.trace.total;
      if (this.trace.forgetRecordsFrom(end) === 0) return;
      this.cutAt = end;
      await this.append(this.written);
    } catch (error) {
      await this.failed(error);
    }
  }

  private restore({ steps, actors, isWhole, cutAt }: Batch, known: Map<number, Actor>): void {
    if (isWhole) known.clear();
    for (const [number, actor] of actors) known.set(number, actor);
    if (cutAt !== undefined) this.trace.forgetRecordsFrom(cutAt);
    this.trace.restore(steps, known);
  }

  /** Begins to write what is new, unless that is under way. */
  write(): void {
    if (this.running || this.trace.total === this.written || this.host.monotonicMs() < this.retryAtMs) return;
    this.running = this.writeNew().finally(() => {
      this.running = undefined;
    });
  }

  private async writeNew(): Promise<void> {
    const upTo = this.trace.total;
    try {
      // The records first: a step of one that a kill took with it would be told of whatever comes to lie there.
      await this.host.journal.flush('written');
      await this.appendUpTo(upTo);
      this.isTold = false;
    } catch (error) {
      // Its failure is the journal's, and reported by it.
      if (error !== this.host.journal.failed) await this.failed(error);
    }
  }

  private async appendUpTo(upTo: number): Promise<void> {
    while (this.written < upTo) await this.append(upTo);
  }

  private async append(upTo: number): Promise<void> {
    const { cutAt } = this;
    let { written } = this;
    await this.files.append((at, isFirst) => {
      // Copied in one go: the ring goes on, and what is written is not what it was a moment ago.
      const { end, ...steps } = this.trace.stepsFrom(this.written, upTo);
      written = end;
      const actors = this.trace.takeActors(isFirst);
      const batch = { steps, actors, isWhole: isFirst, ...(cutAt !== undefined && { cutAt }) };
      return { bytes: encodeBatch(batch, at), steps: steps.whats.length };
    });
    this.written = written;
    this.cutAt = undefined;
  }

  private async failed(error: unknown): Promise<void> {
    this.rest();
    if (!this.isTold)
      this.host.report({
        message: 'the trace is kept in memory only; it is tried again every minute',
        error,
      });
    this.isTold = true;
    if (isAboutSpace(error)) await this.giveWay();
  }

  private rest(): void {
    this.retryAtMs = this.host.monotonicMs() + RETRY_MS;
  }

  /** The disk is nearly full: what the trace has of it is free again, for messages, and it asks for none for a minute. */
  async makeRoom(): Promise<void> {
    await this.running;
    this.rest();
    if (this.written > 0) await this.giveWay();
  }

  /** All that is remembered is written anew once it may be. */
  private async giveWay(): Promise<void> {
    try {
      await this.files.remove();
      this.written = 0;
    } catch {
      // The next try comes in a minute, and it was told that something is wrong.
    }
  }

  /** Writes what is left; after the journal has written the records. */
  async close(): Promise<void> {
    await this.running;
    try {
      if (!this.host.journal.failed && this.host.monotonicMs() >= this.retryAtMs)
        await this.appendUpTo(this.trace.total);
      await this.files.close();
    } catch (error) {
      await this.failed(error);
    }
  }
}

const isAboutSpace = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes(String((error as NodeJS.ErrnoException).code));
