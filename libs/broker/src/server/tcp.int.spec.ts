import { connect } from 'node:net';
import { hostname } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { BrokerPort, DeliveredMessage, OutgoingMessage } from '#libs/messaging/port';
import { connectBroker } from '../client/connect-broker.js';
import type { ConnectOptions } from '../client/connect-broker.js';
import { FakeBroker } from '../testing/fake-broker.js';
import { TEST_CERT, TEST_KEY } from '../testing/tls.js';
import { until } from '../testing/until.js';
import { FrameType, FrameWriter, PROTOCOL_VERSION } from '../wire/frames.js';
import { BrokerServer } from './broker-server.js';
import type { ServerOptions } from './broker-server.js';

const token = 'secret';
const quiet = { info: () => undefined, warn: () => undefined };

function message(text: string, more: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { topic: 'order', tag: 'created', body: Buffer.from(text), ...more };
}

function hello(version: number, clientName: string, more: object = {}): Buffer {
  const writer = new FrameWriter();
  writer.begin(FrameType.hello, 0);
  writer.json({ version, token, clientName, ...more });
  writer.end();
  return writer.take();
}

describe('a broker over TCP', () => {
  let broker: FakeBroker;
  let server: BrokerServer;
  let ports: BrokerPort[];

  const listen = (options: Partial<ServerOptions> = {}): Promise<BrokerServer> =>
    BrokerServer.listen(broker, { port: 0, token, log: quiet, ...options });
  const connectTo = (options: Partial<ConnectOptions> = {}): BrokerPort => {
    const url = `tcp://127.0.0.1:${server.address.port}`;
    const port = connectBroker({ url, token, clientName: 'spec', log: quiet, ...options });
    ports.push(port);
    return port;
  };
  const restart = async (): Promise<void> => {
    const { port } = server.address;
    await server.close();
    server = await listen({ port });
  };

  beforeEach(async () => {
    broker = new FakeBroker();
    server = await listen();
    ports = [];
  });
  afterEach(async () => {
    await Promise.all(ports.map((port) => port.close()));
    await server.close();
  });

  it('carries every part of a message to a consumer', async () => {
    const port = connectTo();
    const received: DeliveredMessage[] = [];
    await port.subscribe({ group: 'g', topics: [{ topic: 'order' }] }, (batch) => {
      received.push(...batch);
      return Promise.all(batch.map((each) => each.ack())).then(() => undefined);
    });
    const headers = { traceparent: '00-1-2-03', größe: 'läng'.repeat(100) };
    const [receipt] = await port.send([message('hello', { key: 'k', headers, priority: 9 })]);
    await until(() => received.length === 1);
    expect(receipt).toMatchObject({ status: 'SEND_OK', topic: 'order', offset: 0, duplicate: false });
    expect(received[0]?.message).toMatchObject({
      topic: 'order',
      tag: 'created',
      key: 'k',
      headers,
      priority: 9,
    });
    expect(received[0]?.message.id).toBe(receipt?.messageId);
    expect(Buffer.from(received[0]?.message.body ?? []).toString()).toBe('hello');
    await until(() => broker.settled.length === 1);
  });

  it('answers sends of one tick each with its own receipt and stores them in few appends', async () => {
    const port = connectTo();
    const receipts = await Promise.all(Array.from({ length: 3_000 }, (_, n) => port.send([message(`${n}`)])));
    expect(receipts.map(([receipt]) => receipt?.offset)).toEqual(Array.from({ length: 3_000 }, (_, n) => n));
    expect(broker.appends.length).toBeLessThan(30);
  });

  it('refuses only the bad send of those that travelled together', async () => {
    const port = connectTo();
    const results = await Promise.allSettled([
      port.send([message('a')]),
      port.send([message('b', { topic: 'bad topic' })]),
      port.send([message('c')]),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { code: 'INVALID_ARGUMENT' } });
  });

  it('refuses a wrong token in one line, at once and for every later call', async () => {
    const port = connectTo({ token: 'wrong' });
    await expect(port.ready(2_000)).rejects.toThrow(/^AUTHENTICATION_FAILED: [^\n]+$/);
    await expect(port.send([message('a')])).rejects.toMatchObject({ code: 'AUTHENTICATION_FAILED' });
    expect(broker.sessions).toHaveLength(0);
  });

  it('sends again under the same ids and sequence what was under way when the connection broke', async () => {
    const port = connectTo();
    await port.ready();
    broker.hold = new Promise(() => undefined);
    const sent = port.send([message('a', { id: 'one' })]);
    await until(() => broker.appends.length === 1);
    broker.hold = Promise.resolve();
    await restart();
    await expect(sent).resolves.toMatchObject([{ messageId: 'one', offset: 0 }]);
    expect(broker.appends.map(([first]) => first?.id)).toEqual(['one', 'one']);
    expect(broker.stamps).toEqual([1, 2].map(() => ({ producerId: 1, epoch: 1, sequence: 1 })));
  });

  it('resumes subscriptions and producer groups on a new connection; old deliveries have lost their lease', async () => {
    const port = connectTo();
    const received: DeliveredMessage[] = [];
    await port.onCheckBack('order', () => Promise.resolve('commit'));
    await port.subscribe({ group: 'g', topics: [{ topic: 'order' }] }, async (batch) => {
      received.push(...batch);
      await Promise.resolve();
    });
    await port.send([message('a')]);
    await until(() => received.length === 1);
    const [first] = received;
    await restart();
    await until(() => received.length === 2);
    await expect(first?.ack()).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect(first?.signal.aborted).toBe(true);
    expect(received[1]?.attempt).toBe(2);
    await received[1]?.ack();
    const session = broker.sessions.at(-1);
    expect(session?.producerGroups).toEqual(['order']);
    session?.events.check('t1', [message('half')], 'order');
    await until(() => broker.decisions.length === 1);
    expect(broker.decisions).toEqual([['t1', 'commit']]);
  });

  it('rejects what it cannot repeat when the connection breaks', async () => {
    const port = connectTo();
    await port.ready();
    const sessions = broker.sessions[0];
    if (sessions) sessions.admin = () => new Promise(() => undefined);
    const asked = port.admin.topics();
    asked.catch(() => undefined);
    await port.recall('known');
    await restart();
    await expect(asked).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
  });

  it('is not ready while the broker hangs behind a connection that stands, and is once it answers', async () => {
    const port = connectTo();
    await port.ready();
    const [session] = broker.sessions;
    if (session === undefined) throw new Error('no session');
    const answer = session.admin.bind(session);
    session.admin = () => new Promise(() => undefined);
    await expect(port.ready(100)).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT', kind: 'transient' });
    session.admin = answer;
    await port.ready(10_000);
  });

  it('gives up after the request timeout and says whether the broker may have the message', async () => {
    const port = connectTo({ requestTimeoutMs: 200 });
    await port.ready(10_000);
    broker.hold = new Promise(() => undefined);
    await expect(port.send([message('a')])).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT' });
    const nobody = connectBroker({
      url: 'tcp://127.0.0.1:1',
      token,
      clientName: 'x',
      requestTimeoutMs: 200,
      log: quiet,
    });
    await expect(nobody.send([message('b')])).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    await nobody.close();
  });

  it('tells a lease that was lost', async () => {
    const port = connectTo();
    const received: DeliveredMessage[] = [];
    await port.subscribe({ group: 'g', topics: [{ topic: 'order' }] }, async (batch) => {
      received.push(...batch);
      await Promise.resolve();
    });
    await port.send([message('a')]);
    await until(() => received.length === 1);
    const { signal } = received[0] as DeliveredMessage;
    broker.expire([...broker.unsettled.keys()][0] ?? 0);
    await until(() => signal.aborted);
    await expect(received[0]?.ack()).rejects.toMatchObject({ code: 'LEASE_LOST' });
  });

  it('pulls more than one frame can hold', async () => {
    const port = connectTo();
    const body = Buffer.alloc(900_000, 7);
    for (let n = 0; n < 12; n++) await port.send([{ topic: 'order', tag: 'big', body }]);
    const pulled = await port.pull(
      { group: 'g', topics: [{ topic: 'order' }] },
      { maxMessages: 12, waitMs: 5_000 },
    );
    expect(pulled.map(({ message: { body: got } }) => got.byteLength)).toEqual(Array(12).fill(900_000));
    await Promise.all(pulled.map((each) => each.ack()));
  });

  it('closes only the connection that sends garbage', async () => {
    const port = connectTo();
    await port.ready();
    for (const garbage of [
      'GET / HTTP/1.1\r\n\r\n',
      '\u0000\u0000\u0000\u0000',
      '\u0005\u0000\u0000\u0000\u0002\u0000\u0000\u0000\u0000',
    ]) {
      const socket = connect(server.address.port, '127.0.0.1');
      const ended = new Promise((resolve) => socket.once('close', resolve));
      socket.on('error', () => undefined);
      socket.write(garbage, 'latin1');
      await ended;
    }
    await expect(port.send([message('a')])).resolves.toHaveLength(1);
  });

  it('tells a client that speaks another version which one is spoken here', async () => {
    const older = connect(server.address.port, '127.0.0.1');
    older.write(hello(PROTOCOL_VERSION - 1, 'older'));
    const answer = (await older.toArray()).join('');
    expect(answer).toContain(
      `this broker speaks version ${PROTOCOL_VERSION}, the client ${PROTOCOL_VERSION - 1}`,
    );
    expect(broker.sessions).toEqual([]);
  });

  it('closes a connection that never says hello', async () => {
    await server.close();
    server = await listen({ helloTimeoutMs: 50 });
    const socket = connect(server.address.port, '127.0.0.1').resume();
    await new Promise((resolve) => socket.once('close', resolve));
  });

  it('keeps the connection when one subscription is refused after a reconnect, and asks for that one again', async () => {
    const port = connectTo();
    const handled: string[] = [];
    const topics = [{ topic: 'order' }];
    await port.subscribe({ group: 'refused', topics }, () => Promise.resolve());
    await port.subscribe({ group: 'fine', topics }, async (batch) => {
      handled.push(...batch.map(({ message: { body } }) => Buffer.from(body).toString()));
      await Promise.all(batch.map((each) => each.ack()));
    });
    broker.refuses = ({ group }) => group === 'refused';
    const asked = (group: string): number =>
      broker.sessions.at(-1)!.subscriptions.filter((each) => each.group === group).length;
    await restart();
    await until(() => broker.sessions.length === 2 && asked('fine') === 1 && asked('refused') === 1);
    await port.send([message('a')]);
    await until(() => handled.includes('a'));
    // Again after a second; the connection is the same all the while.
    await until(() => asked('refused') === 2);
    expect([broker.sessions.length, asked('fine')]).toEqual([2, 1]);
  });

  it('tells of a refused subscription once, however often the connection is lost meanwhile', async () => {
    const told: string[] = [];
    const port = connectTo({ log: { ...quiet, warn: (_details, text) => told.push(text) } });
    await port.subscribe({ group: 'refused', topics: [{ topic: 'order' }] }, () => Promise.resolve());
    broker.refuses = () => true;
    for (const sessions of [2, 3, 4]) {
      await restart();
      await until(() => broker.sessions[sessions - 1]?.subscriptions.length === 1);
    }
    await port.send([message('a')]);
    expect(told.filter((text) => text.includes('was refused'))).toHaveLength(1);
    expect(told.filter((text) => text.includes('no connection'))).toHaveLength(1);
  });

  it('refuses connections beyond the limit and keeps the others', async () => {
    await server.close();
    server = await listen({ maxConnections: 1 });
    const first = connectTo();
    await first.ready();
    await expect(connectTo().ready(300)).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    await expect(first.send([message('a')])).resolves.toHaveLength(1);
  });

  it.each([
    ['names it', { node: 'node-7' }, 'node-7'],
    ['is older and names none', {}, '127.0.0.1'],
    ['names what is none', { node: 'x'.repeat(256) }, '127.0.0.1'],
  ])('knows the machine of a client that %s', async (_how, more, node) => {
    const raw = connect(server.address.port, '127.0.0.1').resume();
    raw.write(hello(PROTOCOL_VERSION, 'raw', more));
    await until(() => broker.sessions.length > 0);
    expect(broker.sessions[0]).toMatchObject({ clientName: 'raw', node });
    raw.destroy();
  });

  it('tells the broker the host name of the machine it is on', async () => {
    await connectTo().ready();
    expect(broker.sessions[0]?.node).toBe(hostname());
  });

  it('finds a half-open connection by its silence', async () => {
    await server.close();
    server = await listen({ heartbeat: { everyMs: 20, silenceMs: 60 } });
    const port = connectTo({ heartbeat: { everyMs: 20, silenceMs: 60 } });
    await port.ready();
    // Says hello, then nothing: no heartbeat, as a peer whose machine is gone.
    const mute = connect(server.address.port, '127.0.0.1').resume();
    mute.write(hello(PROTOCOL_VERSION, 'mute'));
    await until(() => broker.sessions.some(({ clientName }) => clientName === 'mute'));
    await new Promise((resolve) => mute.once('close', resolve));
    await until(() => broker.sessions.find(({ clientName }) => clientName === 'mute')?.open === false);
    expect(broker.sessions.find(({ clientName }) => clientName === 'spec')?.open).toBe(true);
  });

  it('speaks TLS when it has a certificate, and only with those who trust it', async () => {
    await server.close();
    server = await listen({ tls: { key: TEST_KEY, cert: TEST_CERT } });
    const url = `tls://127.0.0.1:${server.address.port}`;
    await expect(connectTo({ url, ca: TEST_CERT }).send([message('a')])).resolves.toHaveLength(1);
    await expect(connectTo({ url }).ready(300)).rejects.toThrow(
      /BROKER_UNAVAILABLE.*self-signed certificate/,
    );
    await expect(connectTo().ready(300)).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
  });

  it('ends only the connection to which a delivery cannot be written', async () => {
    const [port, other] = [connectTo(), connectTo({ clientName: 'other' })];
    await other.ready();
    await port.subscribe({ group: 'g', topics: [{ topic: 'order' }] }, () => Promise.resolve());
    const session = broker.sessions.find(({ clientName }) => clientName === 'spec');
    const [consumerId] = [...broker.consumers.keys()];
    session?.events.deliveries(consumerId ?? 0, [
      { deliveryId: 1, attempt: 1, history: [], message: {} as never },
    ]);
    await until(() => session?.open === false);
    await expect(other.send([message('a')])).resolves.toHaveLength(1);
  });

  it('refuses what does not fit into the bounded buffer, and nothing of it is stored', async () => {
    const port = connectTo({ maxPendingMessages: 10 });
    await port.ready();
    const results = await Promise.allSettled(
      Array.from({ length: 15 }, (_, n) => port.send([message(`${n}`)])),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
    expect(results[14]).toMatchObject({ reason: { code: 'BUFFER_FULL' } });
    expect(broker.queue).toHaveLength(10);
  });

  it('drains on close: the running handler ends and its ack is recorded', async () => {
    const port = connectTo();
    let release: () => void = () => undefined;
    const started = new Promise<void>((resolveStarted) => {
      void port.subscribe({ group: 'g', topics: [{ topic: 'order' }] }, async ([delivery]) => {
        resolveStarted();
        await new Promise<void>((resolve) => (release = resolve));
        await port.send([message('from the handler', { topic: 'other' })]);
        await delivery?.ack();
      });
    });
    await port.send([message('a')]);
    await started;
    const closed = port.close();
    release();
    await closed;
    expect(broker.settled).toMatchObject([{ verdict: 'ack' }]);
    expect(broker.appends.flat().map(({ topic }) => topic)).toEqual(['order', 'other']);
    await expect(port.send([message('late')])).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
