import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { connectBroker } from '#libs/broker';
import type { BrokerPort } from '#libs/messaging';
import { freePorts } from '../free-ports.js';
import type { Strike } from './nemesis.js';
import { TOPICS } from './topics.js';
import { VictimProcess } from './victim.js';
import { type WorkerSettings, pause } from './workers/worker.js';

export type ClusterOptions = {
  dir: string;
  seed: number;
  producers: number;
  consumers: number;
  /** Times a second at which each producer begins a call, or a burst of them. */
  rate: number;
  /** Longest delay of a timer. */
  maxDelayMs: number;
};

const START_WITHIN_MS = 30_000;
const IDLE_WITHIN_MS = 90_000;
const END_WITHIN_MS = 15_000;
const POLL_MS = 10;

/** The broker's process and its clients' processes. */
export class Cluster {
  readonly historyDir: string;
  /** How long the broker took from its start to its answer that it is ready. */
  readonly recoveriesMs: number[] = [];
  readonly port: BrokerPort;

  private constructor(
    private readonly broker: VictimProcess,
    private readonly producers: VictimProcess[],
    private readonly consumers: VictimProcess[],
    private readonly endpoint: { url: string; token: string; httpUrl: string },
    { dir }: ClusterOptions,
  ) {
    this.historyDir = historyDirOf(dir);
    const { url, token } = endpoint;
    this.port = connectBroker({
      url,
      token,
      clientName: 'chaos',
      requestTimeoutMs: IDLE_WITHIN_MS,
      log: QUIET,
    });
  }

  static async start(options: ClusterOptions): Promise<Cluster> {
    const { dir, seed } = options;
    mkdirSync(historyDirOf(dir), { recursive: true });
    const [brokerPort = 0, httpPort = 0] = await freePorts(2);
    const token = randomBytes(24).toString('hex');
    const url = `tcp://127.0.0.1:${brokerPort}`;
    const broker = new VictimProcess({
      name: 'broker',
      path: '../../../apps/broker/src/main.js',
      env: {
        BROKER_DIR: join(dir, 'broker'),
        BROKER_TOKEN: token,
        BROKER_URL: url,
        PORT: String(httpPort),
        LOG_LEVEL: 'error',
      },
    });
    const worker = (role: 'producer' | 'consumer') => (_: unknown, index: number) => {
      const name = `${role}-${index + 1}`;
      const args = (run: number): string[] => {
        const { rate, maxDelayMs } = options;
        const settings: WorkerSettings = {
          name,
          run,
          dir: historyDirOf(dir),
          url,
          token,
          seed: seedOf(seed, name, run),
          rate,
          maxDelayMs,
        };
        return [JSON.stringify(settings)];
      };
      return new VictimProcess({ name, path: `./workers/${role}.js`, args });
    };
    const producers = Array.from({ length: options.producers }, worker('producer'));
    const consumers = Array.from({ length: options.consumers }, worker('consumer'));
    const endpoint = { url, token, httpUrl: `http://127.0.0.1:${httpPort}` };
    const cluster = new Cluster(broker, producers, consumers, endpoint, options);
    await cluster.open();
    return cluster;
  }

  private async open(): Promise<void> {
    this.broker.start();
    await this.untilBrokerReady();
    for (const { name, partitions, flush } of TOPICS)
      await this.port.admin.createTopic(name, { partitions, flush });
    for (const worker of [...this.consumers, ...this.producers]) worker.start();
    await this.untilAllSaid([...this.consumers, ...this.producers], 'joined', START_WITHIN_MS);
  }

  /** Does one strike and what follows it; resolves when the victim is up again. */
  async strike(strike: Strike): Promise<void> {
    const victim = this.victim(strike.victim);
    if (strike.how === 'pause') {
      victim.pause();
      await pause(strike.downMs);
      victim.resume();
      return;
    }
    await this.restart(victim, strike.downMs);
    if (strike.how === 'kill-in-recovery') {
      await pause(strike.againMs);
      await this.restart(victim, 0);
    }
    if (victim === this.broker) await this.untilBrokerReady();
  }

  private async restart(victim: VictimProcess, downMs: number): Promise<void> {
    await victim.kill();
    await pause(downMs);
    victim.start();
  }

  private victim(name: string): VictimProcess {
    if (name === 'broker') return this.broker;
    const [role, number] = name.split('-');
    const victim = (role === 'producer' ? this.producers : this.consumers)[Number(number) - 1];
    if (victim === undefined) throw new Error(`there is no ${name}`);
    return victim;
  }

  /**
   * No more strikes: the broker recovers once more, so that it asks at once for what nobody has decided,
   * and the producers finish what they have begun.
   */
  async heal(): Promise<void> {
    await this.restart(this.broker, 0);
    await this.untilBrokerReady();
    for (const producer of this.producers) producer.command('stop');
    await this.untilAllSaid(this.producers, 'idle', IDLE_WITHIN_MS);
  }

  /** Everybody leaves in peace: consumers first, so that their last verdicts are in their histories. */
  async leave(): Promise<void> {
    await Promise.all(
      [...this.consumers, ...this.producers].map((worker) => worker.end('leave', END_WITHIN_MS)),
    );
    await this.port.close();
    await this.broker.end('SIGTERM', END_WITHIN_MS);
  }

  /** Whatever is left is gone after this. */
  async destroy(): Promise<void> {
    await this.port.close();
    await Promise.all(this.all.map((process) => process.kill()));
  }

  get kills(): { broker: number; producers: number; consumers: number } {
    const sum = (victims: readonly VictimProcess[]): number =>
      victims.reduce((all, { kills }) => all + kills, 0);
    return { broker: this.broker.kills, producers: sum(this.producers), consumers: sum(this.consumers) };
  }

  /** Processes that ended although nobody had struck them. */
  get unexpectedEnds(): string[] {
    return this.all.flatMap(({ unexpected }) => unexpected);
  }

  private get all(): VictimProcess[] {
    return [...this.consumers, ...this.producers, this.broker];
  }

  private async untilBrokerReady(): Promise<void> {
    const startedAt = performance.now();
    await this.until(
      () => this.isBrokerReady(),
      START_WITHIN_MS,
      () => 'the broker is not ready',
    );
    this.recoveriesMs.push(performance.now() - startedAt);
  }

  private async isBrokerReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.endpoint.httpUrl}/health/ready`)).ok;
    } catch {
      return false; // not listening yet
    }
  }

  private untilAllSaid(workers: readonly VictimProcess[], line: string, withinMs: number): Promise<void> {
    return this.until(
      () => workers.every((worker) => worker.hasSaid(line)),
      withinMs,
      () => `not every worker is ${line}`,
    );
  }

  private async until(
    holds: () => boolean | Promise<boolean>,
    withinMs: number,
    what: () => string,
  ): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!(await holds())) {
      const [end] = this.unexpectedEnds;
      if (end !== undefined) throw new Error(end);
      if (performance.now() > deadline) throw new Error(`${what()} within ${withinMs} ms`);
      await pause(POLL_MS);
    }
  }
}

const QUIET = { info: () => undefined, warn: () => undefined };

const historyDirOf = (dir: string): string => join(dir, 'history');

/** Another one for every process that is ever started, the same ones for the same seed. */
function seedOf(seed: number, name: string, run: number): number {
  let mixed = seed;
  for (const character of `${name}.${run}`)
    mixed = Math.imul(mixed ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return mixed;
}
