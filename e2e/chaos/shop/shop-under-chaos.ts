import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { FaultProxy } from '#libs/service-kit/testing';
import { freePortRange, launchShop } from '../../harness/shop.js';
import type { ProcessEnd } from './checker/history.js';
import { Disks } from './disks.js';
import { LINKS, PORT_OFFSETS, type LinkName, type ProcessName } from './links.js';
import { MailServer } from './mail-server.js';
import type { PreloadPlan } from './preload-plan.js';
import { ShopProcesses } from './processes.js';

const POLL_MS = 200;
const JWT_SECRET = 'chaos-secret-that-is-long-enough-for-hs256';
/** The services that tell whether they are ready. */
const HEALTHY: readonly (keyof typeof PORT_OFFSETS)[] = [
  ...(['gateway', 'order', 'stock', 'payment', 'notification', 'ops'] as const),
  'broker-http',
];

/** A whole shop, each of its connections by way of a proxy, its stores on disks that can be filled. */
export class ShopUnderChaos {
  readonly secret = JWT_SECRET;
  readonly processes: ShopProcesses;
  /** Ends that no SIGKILL has caused; `atMs` by `performance.now()`. */
  readonly ends: ProcessEnd[] = [];
  private launcher: ChildProcess | undefined;

  private constructor(
    private readonly dir: string,
    private readonly port: number,
    readonly links: ReadonlyMap<LinkName, FaultProxy>,
    readonly disks: Disks,
    readonly mailServer: MailServer,
  ) {
    this.processes = new ShopProcesses(dir);
    mkdirSync(this.clockDir, { recursive: true });
  }

  /** @param env settings of the shop */
  static async start(dir: string, env: Record<string, string>): Promise<ShopUnderChaos> {
    const port = await freePortRange();
    const mailServer = await MailServer.start();
    const links = new Map<LinkName, FaultProxy>();
    for (const { name, to } of LINKS) {
      const target = to === 'mail' ? mailServer.port : port + PORT_OFFSETS[to];
      links.set(name, await FaultProxy.start({ port: target }));
    }
    const shop = new ShopUnderChaos(dir, port, links, Disks.mount(dir), mailServer);
    try {
      await shop.launch(env);
    } catch (error) {
      await shop.destroy();
      throw error;
    }
    return shop;
  }

  /** By way of the buyers' proxy. */
  get buyersUrl(): string {
    return `http://127.0.0.1:${this.link('buyers-gateway').port}`;
  }

  get url(): string {
    return this.urlOf('gateway');
  }

  /** Of the whole database, past all proxies. */
  get databaseUrl(): string {
    const secrets = JSON.parse(readFileSync(join(this.dir, 'secrets.json'), 'utf8')) as Record<
      string,
      string
    >;
    const port = this.port + PORT_OFFSETS.postgres;
    return `postgresql://postgres:${secrets['postgresPassword']}@127.0.0.1:${port}/stampede`;
  }

  get redisUrl(): string {
    return `redis://127.0.0.1:${this.port + PORT_OFFSETS.redis}`;
  }

  link(name: LinkName): FaultProxy {
    const proxy = this.links.get(name);
    if (proxy === undefined) throw new Error(`there is no link ${name}`);
    return proxy;
  }

  /** From now on the service's wall clock is wrong by so much. */
  setClock(service: string, wrongByMs: number): void {
    writeFileSync(join(this.clockDir, service), String(wrongByMs));
  }

  /** Whether a process takes work; of the stores it is not asked. */
  async isReady(name: ProcessName): Promise<boolean> {
    const place = name === 'broker' ? 'broker-http' : name;
    if (!HEALTHY.includes(place)) return true;
    try {
      const answer = await fetch(`${this.urlOf(place)}/health/ready`, { signal: AbortSignal.timeout(2_000) });
      await answer.body?.cancel();
      return answer.ok;
    } catch {
      return false;
    }
  }

  /** The processes that are not ready when the time is over; none when all were before. */
  async untilReady(names: readonly ProcessName[], withinMs: number): Promise<ProcessName[]> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const ready = await Promise.all(names.map((name) => this.isReady(name)));
      const missing = names.filter((_, index) => !ready[index]);
      if (missing.length === 0 || performance.now() > deadline) return missing;
      await wait(POLL_MS);
    }
  }

  /** Ends everything that was started, in order; the data stays in `dir`, apart from what was on small disks. */
  async destroy(): Promise<void> {
    if (this.launcher !== undefined && this.launcher.exitCode === null) {
      const ended = once(this.launcher, 'exit');
      this.launcher.kill('SIGINT');
      await ended;
    }
    await Promise.all([...this.links.values()].map((link) => link.stop()));
    await this.mailServer.close();
    this.disks.unmount();
    rmSync(join(this.dir, 'postgres'), { recursive: true, force: true });
  }

  private get clockDir(): string {
    return join(this.dir, 'clocks');
  }

  private urlOf(place: keyof typeof PORT_OFFSETS): string {
    return `http://127.0.0.1:${this.port + PORT_OFFSETS[place]}`;
  }

  private async launch(env: Record<string, string>): Promise<void> {
    const planPath = join(this.dir, 'preload-plan.json');
    writeFileSync(planPath, JSON.stringify(this.preloadPlan()));
    const preload = fileURLToPath(new URL('./preload.js', import.meta.url));
    this.launcher = await launchShop(
      {
        STAMPEDE_DIR: this.dir,
        PORT: String(this.port),
        JWT_SECRET,
        NODE_OPTIONS: `--import=${preload}`,
        STAMPEDE_CHAOS_PLAN: planPath,
        ...env,
      },
      (line) => this.hear(line),
    );
  }

  private preloadPlan(): PreloadPlan {
    const plan: PreloadPlan = { links: {}, clockDir: this.clockDir };
    for (const { name, from, to, variable, otherwise } of LINKS) {
      if (variable === undefined) continue;
      const proxied = { variable, port: this.link(name).port };
      const target = to === 'mail' ? this.mailServer.port : this.port + PORT_OFFSETS[to];
      (plan.links[from] ??= []).push(
        otherwise === undefined
          ? proxied
          : { ...proxied, otherwise: otherwise.replace('PORT', String(target)) },
      );
    }
    return plan;
  }

  /** Postgres ends by itself when its processes are killed or its disk is full, and the launcher knows its runner only. */
  private hear(line: string): void {
    const [, process] = /^\[shop\] (\S+) (?:ended with code|was killed by (?!SIGKILL))/.exec(line) ?? [];
    if (process !== undefined && process !== 'postgres')
      this.ends.push({ process, how: line.replace(/^\[shop\] /, ''), atMs: performance.now() });
  }
}
