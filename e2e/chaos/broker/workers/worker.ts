import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connectBroker } from '#libs/broker';
import type { BrokerPort } from '#libs/messaging';
import { seededRandom } from '../../../load/schedule.js';
import { HistoryFile } from './history-file.js';

/** What a worker is told by its launcher, as JSON in its only argument. */
export type WorkerSettings = {
  /** `producer-1`; stays the same over restarts. */
  name: string;
  /** How often it was started before. */
  run: number;
  dir: string;
  url: string;
  token: string;
  seed: number;
  /** Times a second at which a producer begins a call, or a burst of them. */
  rate: number;
  /** Longest delay of a timer. */
  maxDelayMs: number;
};

/** How long a client waits for one answer, reconnects included. */
const REQUEST_TIMEOUT_MS = 10_000;

/** One process of the workload: its settings, its part of the history, its connection. */
export class Worker {
  readonly settings: WorkerSettings;
  readonly history: HistoryFile;
  readonly random: () => number;
  readonly broker: BrokerPort;
  private readonly commands = new Map<string, () => void>();

  constructor() {
    this.settings = JSON.parse(process.argv[2] ?? '') as WorkerSettings;
    const { name, run, dir, url, token, seed } = this.settings;
    this.history = new HistoryFile(join(dir, `${name}.${run}.jsonl`));
    this.random = seededRandom(seed);
    const quiet = { info: () => undefined, warn: () => undefined };
    this.broker = connectBroker({
      url,
      token,
      clientName: name,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      log: quiet,
    });
    createInterface({ input: process.stdin })
      .on('line', (command) => this.commands.get(command)?.())
      // Its launcher is gone, and with it the reason to go on.
      .on('close', () => process.exit(1));
  }

  /** Does `action` when the launcher writes this line. */
  on(command: 'stop' | 'leave', action: () => void): void {
    this.commands.set(command, action);
  }

  tell(line: string): void {
    process.stdout.write(`${line}\n`);
  }

  chance(share: number): boolean {
    return this.random() < share;
  }

  /** A whole number from `low` to `high`. */
  between(low: number, high: number): number {
    return low + Math.floor(this.random() * (high - low + 1));
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
