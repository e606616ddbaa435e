import { cpSync, rmSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { BrokerPort } from '#libs/messaging/port';
import { describeBrokerConformance } from '../../messaging/src/conformance/index.js';
import type {
  BrokerSettings,
  BrokerUnderTest,
  ClientOptions,
} from '../../messaging/src/conformance/index.js';
import { connectBroker } from './client/connect-broker.js';
import { EmbeddedBroker } from './engine/embedded-broker.js';
import { BrokerServer } from './server/broker-server.js';

const token = 'secret';
const log = { info: () => undefined, warn: () => undefined };

/**
 * Copies a directory in which a broker of this thread works. The broker takes no step meanwhile, since what it has begun is
 * answered afterwards; of that, a file may be renamed under the copy, which is then done again.
 */
function copyAtOnce(from: string, to: string): void {
  for (let triesLeft = 10; ; triesLeft--) {
    try {
      return cpSync(from, to, { recursive: true, filter: (path) => !basename(path).includes('lock') });
    } catch (error) {
      if (triesLeft === 0 || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      rmSync(to, { recursive: true });
    }
  }
}

/** A broker whose crash is a copy of its directory, taken while it runs: nothing of an orderly end is in it. */
class CrashableBroker implements BrokerUnderTest {
  protected broker!: EmbeddedBroker;
  private dir = '';

  /** How far its clock is ahead of the machine's. */
  private aheadMs = 0;

  constructor(private readonly settings: BrokerSettings) {}

  async start(): Promise<this> {
    this.dir = await mkdtemp(join(tmpdir(), 'conformance-'));
    await this.open();
    return this;
  }

  connect(clientName: string, options?: ClientOptions): BrokerPort {
    return this.broker.connect(clientName, options);
  }

  async restart(downUntilMs: number): Promise<void> {
    const [crashed, from] = [this.broker, this.dir];
    this.dir = await mkdtemp(join(tmpdir(), 'conformance-'));
    copyAtOnce(from, this.dir);
    await crashed.close();
    await rm(from, { recursive: true });
    await pause(Math.max(0, downUntilMs - Date.now()));
    await this.open();
  }

  async keepTrace(): Promise<void> {
    const port = this.broker.connect('keeper');
    // Each batch is one write. The first that is seen may have been under way before.
    for (let write = 0; write < 2; write++) {
      const before = await this.sizesOfTrace();
      await port.send([{ topic: 'keeper', tag: 'kept', body: Buffer.alloc(0) }]);
      this.aheadMs += 1_000;
      this.broker.tick();
      while ((await this.sizesOfTrace()) === before) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await port.close();
  }

  private async sizesOfTrace(): Promise<string> {
    const path = join(this.dir, 'trace');
    const names = await readdir(path).catch(() => []);
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(path, name))).size));
    // One that is made and not yet written to counts as none.
    return sizes.filter((size) => size > 0).join();
  }

  enforceRetention(): void {
    // It looks for what is old every ten seconds.
    this.aheadMs += 10_000;
    this.broker.tick();
  }

  async close(): Promise<void> {
    await this.broker.close();
    await rm(this.dir, { recursive: true });
  }

  protected async open(): Promise<void> {
    const { firstCheckMs, checkEveryMs: everyMs, maxChecks, retainBytes, retainDeadLetters } = this.settings;
    this.broker = await EmbeddedBroker.open({
      dir: this.dir,
      clock: { now: () => Date.now() + this.aheadMs },
      transactions: { firstCheckMs, everyMs, maxChecks },
      ...(retainBytes !== undefined && {
        segmentBytes: retainBytes / 3,
        retention: { maxBytes: retainBytes, unsettled: 'drop' },
      }),
      ...(retainDeadLetters !== undefined && { deadLetters: { maxPerGroup: retainDeadLetters } }),
    });
  }
}

class CrashableServer extends CrashableBroker {
  private server: BrokerServer | undefined;

  override connect(clientName: string, options?: ClientOptions): BrokerPort {
    const port = this.server?.address.port ?? 0;
    return connectBroker({ url: `tcp://127.0.0.1:${port}`, token, clientName, log, ...options });
  }

  override async restart(downUntilMs: number): Promise<void> {
    const port = this.server?.address.port ?? 0;
    await super.restart(downUntilMs);
    await this.server?.close();
    this.server = await BrokerServer.listen(this.broker, { port, token, log });
  }

  override async close(): Promise<void> {
    await this.server?.close();
    await super.close();
  }

  protected override async open(): Promise<void> {
    await super.open();
    this.server ??= await BrokerServer.listen(this.broker, { port: 0, token, log });
  }
}

describeBrokerConformance('the embedded broker in process', (settings) =>
  new CrashableBroker(settings).start(),
);
describeBrokerConformance('the embedded broker over TCP', (settings) =>
  new CrashableServer(settings).start(),
);
