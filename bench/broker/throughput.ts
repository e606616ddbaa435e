/**
 * Durable throughput over TCP: broker, producer and consumer as processes of their own on this machine.
 *
 *     node dist/bench/broker/throughput.js [messages] [bytes]
 *
 * Prints one JSON object. `send` is one call per message with 10,000 under way; `consume` starts on the
 * backlog that was sent, one handler call and one ack per message.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectBroker } from '#libs/broker';

const [messages = '500000', bytes = '256'] = process.argv.slice(2);
const IN_FLIGHT = '10000';
const token = 'bench';
const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
const program = (path: string): string => fileURLToPath(new URL(`${path}.${extension}`, import.meta.url));

function start(path: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [...process.execArgv, program(path), ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** The one JSON line that a child prints. */
async function report(child: ChildProcess): Promise<unknown> {
  let text = '';
  for await (const chunk of child.stdout ?? []) text += String(chunk);
  return JSON.parse(text);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const dir = await mkdtemp(join(tmpdir(), 'bench-broker-'));
const tcpPort = await freePort();
const url = `tcp://127.0.0.1:${tcpPort}`;
const broker = start('../../apps/broker/src/main', [], {
  BROKER_DIR: dir,
  BROKER_TOKEN: token,
  BROKER_PORT: String(tcpPort),
  PORT: '0',
  LOG_LEVEL: 'warn',
});
broker.stdout?.resume();
try {
  const port = connectBroker({ url, token, clientName: 'bench' });
  await port.ready(20_000);
  await port.admin.createTopic('bench', { partitions: 4, flush: 'sync' });
  await port.close();
  const send = await report(start('producer', [url, token, messages, bytes, IN_FLIGHT]));
  const consume = await report(start('consumer', [url, token, messages]));
  process.stdout.write(`${JSON.stringify({ messages: Number(messages), bytes: Number(bytes), send, consume })}\n`);
} finally {
  const gone = new Promise((resolve) => broker.once('exit', resolve));
  broker.kill('SIGTERM');
  await gone;
  await rm(dir, { recursive: true });
}
