/**
 * A shop to test against: the one that `SHOP_URL` names (scripts/test.mjs starts it once for all specs,
 * or it is the composed one), or a process tree of this spec's own when it needs settings of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ShopClient } from './client.js';

const READY_WITHIN_MS = 120_000;
/** A shop takes the ports from PORT to PORT + 25. */
const PORTS_PER_SHOP = 30;

export type ServiceName =
  'gateway' | 'order' | 'stock' | 'payment' | 'notification' | 'ops' | 'broker' | 'redis' | 'postgres';

export class Shop {
  private constructor(
    readonly client: ShopClient,
    readonly brokerUrl: string | undefined,
    private readonly dir: string | undefined,
    private readonly launcher: ChildProcess | undefined,
  ) {}

  /** The shared shop, or one of its own when `env` asks for settings, or when nobody has started one. */
  static async open(env: Record<string, string> = {}): Promise<Shop> {
    const shared = process.env['SHOP_URL'];
    if (shared !== undefined && Object.keys(env).length === 0) {
      return new Shop(new ShopClient(shared, requireSecret()), undefined, undefined, undefined);
    }
    const dir = mkdtempSync(join(tmpdir(), 'stampede-e2e-'));
    const port = await freePortRange();
    const jwtSecret = 'e2e-secret-that-is-long-enough-for-hs256';
    const launcher = await launchShop({
      STAMPEDE_DIR: dir,
      PORT: String(port),
      JWT_SECRET: jwtSecret,
      NODE_OPTIONS: '',
      ...env,
    });
    const client = new ShopClient(`http://127.0.0.1:${port}`, jwtSecret);
    return new Shop(client, `tcp://127.0.0.1:${port + 12}`, dir, launcher);
  }

  /** Token of this shop's broker, to speak with it directly. */
  get brokerToken(): string {
    const secrets = JSON.parse(readFileSync(join(this.ownDir(), 'secrets.json'), 'utf8')) as {
      brokerToken: string;
    };
    return secrets.brokerToken;
  }

  /** SIGKILL: the process gets no chance to finish anything. The launcher starts it again. */
  kill(service: ServiceName): void {
    this.signal(service, 'SIGKILL');
  }

  /** SIGSTOP freezes the process until SIGCONT: it answers nothing, and knows of nothing. */
  signal(service: ServiceName, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    const pids = JSON.parse(readFileSync(join(this.ownDir(), 'pids.json'), 'utf8')) as Record<
      string,
      { pid: number }
    >;
    const pid = pids[service]?.pid;
    if (pid === undefined) throw new Error(`${service} is not running`);
    process.kill(pid, signal);
  }

  async close(): Promise<void> {
    if (this.launcher === undefined) return;
    const ended = new Promise((resolve) => this.launcher?.once('exit', resolve));
    this.launcher.kill('SIGINT');
    await ended;
    if (this.dir !== undefined && process.env['KEEP_E2E'] === undefined) {
      rmSync(this.dir, { recursive: true, force: true });
    }
  }

  private ownDir(): string {
    if (this.dir === undefined) throw new Error('this spec needs a shop of its own: Shop.open({ … })');
    return this.dir;
  }
}

function requireSecret(): string {
  const secret = process.env['JWT_SECRET'];
  if (secret === undefined) throw new Error('SHOP_URL is set but JWT_SECRET is not');
  return secret;
}

/** Starts the launcher and resolves when the whole shop is ready. `onLine` gets what it says. */
export async function launchShop(
  env: Record<string, string>,
  onLine: (line: string) => void = () => undefined,
): Promise<ChildProcess> {
  const launcher = spawn(process.execPath, ['scripts/shop.mjs'], {
    env: { ...process.env, SEED_SHOWS: 'false', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const input of [launcher.stdout, launcher.stderr]) createInterface({ input }).on('line', onLine);
  await untilReady(launcher);
  return launcher;
}

async function untilReady(launcher: ChildProcess): Promise<void> {
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the shop is not ready:\n${output}`)), READY_WITHIN_MS);
    const read = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-4000);
      if (!output.includes('Ready in')) return;
      clearTimeout(timer);
      resolve();
    };
    launcher.stdout?.on('data', read);
    launcher.stderr?.on('data', read);
    launcher.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`the shop ended with ${code}:\n${output}`));
    });
  });
}

/** Resolves to the first port of a range that a shop can have for itself. */
export async function freePortRange(): Promise<number> {
  for (;;) {
    // Below the range from which the system takes the ports of outgoing connections.
    const port = 20_000 + Math.floor(Math.random() * 400) * PORTS_PER_SHOP;
    const probes = await Promise.all(
      [0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 25].map((offset) => isFree(port + offset)),
    );
    if (probes.every(Boolean)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
