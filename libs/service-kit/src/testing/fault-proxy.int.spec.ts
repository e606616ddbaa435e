import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { FaultProxy } from './fault-proxy.js';

let echo: Server;
let proxy: FaultProxy;
const heardByServer: string[] = [];
const clients: Socket[] = [];

beforeEach(async () => {
  echo = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      heardByServer.push(chunk.toString());
      socket.write(chunk);
    });
  }).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  proxy = await FaultProxy.start({ port: (echo.address() as AddressInfo).port });
  heardByServer.length = 0;
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await proxy.stop();
  await new Promise((resolve) => echo.close(resolve));
});

type Client = { socket: Socket; heard: () => string; closed: Promise<string> };

async function open(): Promise<Client> {
  const socket = connect(proxy.port, '127.0.0.1');
  clients.push(socket);
  let heard = '';
  let error = 'closed';
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  socket.on('error', (cause: NodeJS.ErrnoException) => (error = cause.code ?? ''));
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(error)));
  await once(socket, 'connect');
  return { socket, heard: () => heard, closed };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}

const says = async (client: Client, text: string): Promise<void> => {
  client.socket.write(text);
  await until(() => client.heard().endsWith(text));
};

test('passes bytes on, and the end of a connection', async () => {
  const client = await open();
  await says(client, 'hello');
  client.socket.end();
  expect(await client.closed).toBe('closed');
  await until(() => proxy.connections === 0);
});

test('cuts the connections that stand; new ones work', async () => {
  const client = await open();
  await says(client, 'hello');
  expect(proxy.cut()).toBe(1);
  expect(await client.closed).toBe('ECONNRESET');
  await says(await open(), 'again');
});

test('keeps bytes back until it resumes, of new connections too', async () => {
  const standing = await open();
  await says(standing, 'before');
  proxy.stall();
  const fresh = await open();
  standing.socket.write('standing');
  fresh.socket.write('fresh');
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  // As good a moment as any: the loop has been round more than once.
  await new Promise((resolve) => other.close(resolve));
  expect(heardByServer).toEqual(['before']);
  proxy.resume();
  await until(() => standing.heard() === 'beforestanding' && fresh.heard() === 'fresh');
});

test('refuses until it resumes', async () => {
  const standing = await open();
  await says(standing, 'before');
  proxy.refuse();
  expect(await standing.closed).toBe('ECONNRESET');
  const refused = connect(proxy.port, '127.0.0.1');
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ECONNRESET');
  proxy.resume();
  await says(await open(), 'after');
});

test('strands the connections that stand without a word; new ones work', async () => {
  const standing = await open();
  await says(standing, 'before');
  proxy.strand();
  standing.socket.write('lost');
  await says(await open(), 'new');
  expect(heardByServer).toEqual(['before', 'new']);
  expect(standing.heard()).toBe('before');
  expect(standing.socket.destroyed).toBe(false);
});

test('loses the answer to one request, which the server has done, then breaks', async () => {
  const client = await open();
  const lost = proxy.swallowAnswersAfter('COMMIT', { skip: 1 });
  await says(client, 'COMMIT 1');
  client.socket.write('COM');
  await until(() => client.heard().endsWith('COM'));
  client.socket.write('MIT 2');
  await lost;
  expect(await client.closed).toBe('ECONNRESET');
  expect(heardByServer).toEqual(['COMMIT 1', 'COM', 'MIT 2']);
  expect(client.heard()).toBe('COMMIT 1COM');
  await says(await open(), 'COMMIT 3');
});

test('loses the answer and says nothing more', async () => {
  const client = await open();
  const lost = proxy.swallowAnswersAfter('COMMIT', { then: 'silence' });
  client.socket.write('COMMIT');
  await lost;
  client.socket.write('anybody?');
  await says(await open(), 'new');
  expect(client.heard()).toBe('');
  expect(client.socket.destroyed).toBe(false);
});

test('holds a request before the server has seen it, and lets it go on, or resets', async () => {
  const client = await open();
  let seen: string[] = [];
  const look = (outcome: 'forward' | 'reset') => () => {
    seen = [...heardByServer];
    return outcome;
  };
  const held = proxy.intercept(/WR\w+E 1/, { when: 'before', act: look('forward') });
  await says(client, 'WRITE 1');
  await held;
  expect(seen).toEqual([]);
  const broken = proxy.intercept('WRITE 2', { when: 'before', act: look('reset') });
  client.socket.write('WRITE 2');
  await broken;
  expect(await client.closed).toBe('ECONNRESET');
  expect(heardByServer).toEqual(['WRITE 1']);
});

test('keeps an answer back for as long as it likes, with the server done', async () => {
  const client = await open();
  let letGo = (): void => undefined;
  const late = proxy.intercept('WRITE', {
    when: 'after',
    act: () => new Promise((resolve) => (letGo = () => resolve('forward'))),
  });
  client.socket.write('WRITE');
  await until(() => heardByServer.length === 1);
  await says(await open(), 'other');
  expect(client.heard()).toBe('');
  letGo();
  await late;
  await until(() => client.heard() === 'WRITE');
});

test('loses all answers until it resumes, and resets whom it kept them from', async () => {
  const [asking, idle] = [await open(), await open()];
  proxy.loseAnswers();
  asking.socket.write('done');
  await until(() => heardByServer.includes('done'));
  // Answered before, so it would have come by now.
  idle.socket.write('too');
  await until(() => heardByServer.includes('too'));
  const fresh = await open();
  proxy.resume();
  expect(await asking.closed).toBe('ECONNRESET');
  expect(asking.heard()).toBe('');
  await says(fresh, 'again');
});
