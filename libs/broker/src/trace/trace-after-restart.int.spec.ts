import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readFile, readdir, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { BrokerPort, DeliveredMessage, MessageTrace, TraceEvent } from '#libs/messaging/port';
import { connectBroker } from '../client/connect-broker.js';
import { BrokerSandbox, EngineClient, ManualClock, message, until } from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

const BROKER = fileURLToPath(new URL('../testing/killable-broker.ts', import.meta.url));
const SOURCES = ['--conditions=source', '--import', '@swc-node/register/esm-register'];
const log = { info: () => undefined, warn: () => undefined };

let sandbox: BrokerSandbox;
let clock: ManualClock;
beforeEach(async () => {
  clock = new ManualClock();
  sandbox = await BrokerSandbox.make({ clock });
});
afterEach(() => sandbox.cleanUp());

const pathOfTrace = (): string => join(sandbox.dir, 'trace', '00000001.trace');
/** That of all that was recorded so far, where nothing was written before. */
async function isFirstBatchWritten(): Promise<boolean> {
  const file = await readFile(pathOfTrace()).catch(() => Buffer.alloc(0));
  return file.byteLength > 20 && file.readUInt32LE(16) + 16 === file.byteLength;
}

/** Gives a message of this body up for good after one retry, and acknowledges every other one. */
async function settle(delivery: DeliveredMessage): Promise<void> {
  if (Buffer.from(delivery.message.body).toString() !== 'poison') await delivery.ack();
  else if (delivery.attempt === 1) await delivery.retry({ delayMs: 0, error: 'no database' });
  else await delivery.deadLetter({ reason: 'rejected', error: 'sold out' });
}

async function consume(port: BrokerPort): Promise<void> {
  await port.subscribe({ group: 'stock', topics: [{ topic: 't' }] }, async (batch) => {
    for (const delivery of batch) await settle(delivery);
  });
}

const trace = (client: EngineClient, id: string) => client.admin<TraceEvent[]>('trace', id);

it('a broker that was killed still tells which consumer on which node did what with a message, by id and by key', async () => {
  const child = spawn(process.execPath, [...SOURCES, BROKER, sandbox.dir], {
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const [port] = (await once(child, 'message')) as [number];
  const client = connectBroker({
    url: `tcp://127.0.0.1:${port}`,
    token: 'secret',
    clientName: 'stock-1',
    log,
  });
  try {
    const ofKey = { topic: 't', tag: 'a', key: 'A-1' };
    await client.send([
      { ...ofKey, id: 'fine', body: Buffer.from('fine') },
      { ...ofKey, id: 'poison', body: Buffer.from('poison') },
    ]);
    await consume(client);
    await until(async () => (await client.admin.groups())[0]?.deadLetters === 1, 'the dead letter');
    child.send(1_000);
    await until(isFirstBatchWritten, 'the steps in their file');
  } finally {
    child.kill('SIGKILL');
    await once(child, 'close');
    await client.close();
  }

  const again = new EngineClient(await sandbox.open());
  const by = { group: 'stock', consumer: 'stock-1', node: hostname() };
  const atMs = clock.now();
  const fine = [
    { step: 'stored', atMs },
    { step: 'delivered', atMs, ...by },
    { step: 'acked', atMs, ...by },
  ];
  const poison = [
    { step: 'stored', atMs },
    { step: 'delivered', atMs, ...by },
    { step: 'retried', atMs, ...by, detail: 'no database' },
    { step: 'delivered', atMs, ...by },
    { step: 'dead-lettered', atMs, ...by, detail: 'rejected: sold out' },
  ];
  expect(await trace(again, 'fine')).toEqual(fine);
  expect(await trace(again, 'poison')).toEqual(poison);
  const ofKey = await again.admin<MessageTrace[]>('traceByKey', 'A-1', 't');
  expect(ofKey).toMatchObject([
    { messageId: 'fine', events: fine },
    { messageId: 'poison', events: poison },
  ]);
});

it('a broker that was closed tells all steps, those after its restart among them, in files for its owner alone', async () => {
  const client = new EngineClient(await sandbox.open());
  await client.session.append([message('x', { id: 'm' })]);
  await client.attach();
  const delivery = await client.take();
  await sandbox.reopen();
  expect((await stat(pathOfTrace())).mode & 0o077).toBe(0);
  await chmod(pathOfTrace(), 0o644);

  const again = new EngineClient(await sandbox.reopen(), 'other');
  expect((await stat(pathOfTrace())).mode & 0o077).toBe(0);
  await again.attach();
  await again.ack(await again.take());
  expect(delivery.attempt).toBe(1);
  const last = new EngineClient(await sandbox.reopen());
  expect((await trace(last, 'm')).map(({ step, consumer }) => [step, consumer])).toEqual([
    ['stored', undefined],
    ['delivered', 'client'],
    ['lease-expired', 'client'],
    ['delivered', 'other'],
    ['acked', 'other'],
  ]);
});

it('after a power cut, tells nothing of a message that lies where a lost one lay', async () => {
  const files = new MemoryFiles();
  const broker = await sandbox.open({ files, flush: 'async' });
  const client = new EngineClient(broker);
  await client.session.append([message('x', { id: 'kept' })]);
  await broker.createTopic('durable');
  await client.session.append([message('x', { id: 'lost', topic: 'durable' })]);
  await client.session.append([message('x', { id: 'gone' })]);
  await client.attach();
  await client.take();
  await client.ack(await client.take());
  clock.advance(1_000);
  broker.tick();
  const isTrace = (path: string): boolean => path.endsWith('.trace');
  await until(() => files.paths().some((path) => isTrace(path) && files.content(path).byteLength > 40));

  // The system had the trace on disk, and of the journal what was synced.
  const after = files.crash();
  for (const path of files.paths().filter(isTrace)) after.put(path, files.content(path));
  const second = new EngineClient(await sandbox.reopen({ files: after, flush: 'async' }));
  await second.session.append(Array.from({ length: 20 }, (_, i) => message('y', { id: `new ${i}` })));
  for (let i = 0; i < 20; i++) expect(await trace(second, `new ${i}`)).toMatchObject([{ step: 'stored' }]);
});

it('a broker whose trace cannot be written takes and delivers as ever, and says so once', async () => {
  class NoTrace extends MemoryFiles {
    override open(...args: Parameters<MemoryFiles['open']>): ReturnType<MemoryFiles['open']> {
      const [path] = args;
      if (path.endsWith('.trace'))
        return Promise.reject(Object.assign(new Error(`ENOSPC: ${path}`), { code: 'ENOSPC' }));
      return super.open(...args);
    }
  }
  const problems: string[] = [];
  const onProblem = ({ message: problem }: { message: string }): number => problems.push(problem);
  const broker = await sandbox.open({ files: new NoTrace(), onProblem });
  const client = new EngineClient(broker);
  await client.attach();
  for (let i = 0; i < 3; i++) {
    const [receipt] = await client.session.append([message('x', { id: `m ${i}` })]);
    expect(receipt).toMatchObject({ status: 'SEND_OK' });
    expect(await client.ack(await client.take())).toBe(true);
    clock.advance(60_000);
    broker.tick();
    await until(() => problems.length > 0);
  }
  expect(problems).toEqual(['the trace is kept in memory only; it is tried again every minute']);
  expect(await trace(client, 'm 2')).toHaveLength(3);
});

it('a broker without a trace writes no file of it, and removes those that are there', async () => {
  const client = new EngineClient(await sandbox.open());
  await client.session.append([message('x', { id: 'm' })]);
  await sandbox.reopen({ traceSteps: 0 });
  expect(await readdir(join(sandbox.dir, 'trace'))).toEqual([]);
});
