import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { connectBroker } from '#libs/broker';
import { freePort } from '#libs/service-kit/testing';
import { eventually } from './harness/client.js';

const BODY = Buffer.alloc(16 * 1024, 'x');
/** In blocks of 512 bytes: no file may grow beyond 1 MiB. */
const LIMIT_BLOCKS = 2_048;
const quiet = { info: () => undefined, warn: () => undefined };

let dir: string;
let env: Record<string, string>;
const children: ChildProcess[] = [];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'broker-disk-'));
  const [brokerPort, httpPort] = [await freePort(), await freePort()];
  env = {
    BROKER_DIR: dir,
    BROKER_TOKEN: 'secret',
    BROKER_URL: `tcp://127.0.0.1:${brokerPort}`,
    PORT: String(httpPort),
    // The limit is on each file, and no reserve makes one longer.
    BROKER_RESERVE_BYTES: '0',
  };
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

it('a broker whose disk takes no more ends with one line, and has all that it confirmed when it is started anew', async () => {
  const limited = start(`ulimit -f ${LIMIT_BLOCKS}; `);
  const port = connectBroker({
    url: env['BROKER_URL'] ?? '',
    token: 'secret',
    clientName: 'spec',
    requestTimeoutMs: 3_000,
    log: quiet,
  });
  await untilReady();
  let confirmed = 0;
  const ended = once(limited.child, 'exit') as Promise<[number | null]>;
  for (let isFull = false; !isFull;)
    await port.send([{ topic: 'order', tag: 'paid', body: BODY }]).then(
      () => (confirmed += 1),
      () => (isFull = true),
    );
  expect((await ended)[0]).toBe(1);
  expect(limited.errors()).toMatch(/^broker: .*the journal cannot be written/m);
  expect(confirmed).toBeGreaterThan(10);

  start('');
  await untilReady();
  const [topic] = await port.admin.topics();
  const stored = topic?.partitions.reduce((sum, { endOffset }) => sum + endOffset, 0) ?? 0;
  expect(stored).toBeGreaterThanOrEqual(confirmed);
  await port.close();
}, 60_000);

function start(before: string): { child: ChildProcess; errors: () => string } {
  const program = `${before}exec "${process.execPath}" dist/apps/broker/src/main.js`;
  const child = spawn('sh', ['-c', program], {
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  children.push(child);
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  return { child, errors: () => errors };
}

const untilReady = (): Promise<true> =>
  eventually(
    async () => ((await fetch(`http://127.0.0.1:${env['PORT']}/health/ready`)).ok ? true : undefined),
    20_000,
    () => 'the broker is not ready',
  );
