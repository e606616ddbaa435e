import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeBroker } from '../testing/fake-broker.js';
import { TEST_CERT, TEST_KEY } from '../testing/tls.js';
import { until } from '../testing/until.js';
import { FrameType, FrameWriter, PROTOCOL_VERSION } from '../wire/frames.js';
import { BrokerServer } from './broker-server.js';
import type { ServerOptions } from './broker-server.js';

const token = 'secret';
const quiet = { info: () => undefined, warn: () => undefined };

function hello(more: { version?: number; token?: string } = {}): Buffer {
  const writer = new FrameWriter();
  writer.begin(FrameType.hello, 0);
  writer.json({ version: PROTOCOL_VERSION, token, clientName: 'stranger', ...more });
  writer.end();
  return writer.take();
}

describe('a server and peers that it does not know', () => {
  let broker: FakeBroker;
  let server: BrokerServer;
  let sockets: Socket[];

  const listen = async (options: Partial<ServerOptions> = {}): Promise<void> => {
    server = await BrokerServer.listen(broker, { port: 0, token, log: quiet, ...options });
  };
  const dial = (): Socket => {
    const socket = connect(server.address.port, '127.0.0.1').on('error', () => undefined);
    sockets.push(socket);
    return socket;
  };

  beforeEach(() => {
    broker = new FakeBroker();
    sockets = [];
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await server.close();
  });

  it.each([
    ['a wrong token', { token: 'wrong' }],
    ['another version', { version: PROTOCOL_VERSION + 1 }],
  ])('hears nothing more of one that it refused for %s', async (_why, wrong) => {
    await listen();
    const peer = dial().resume();
    const closed = new Promise((resolve) => peer.once('close', resolve));
    // At once behind the first, and again when the refusal is on its way; nothing ends the connection from this side.
    peer.write(Buffer.concat([hello(wrong), hello()]));
    await until(() => peer.bytesRead > 0);
    peer.write(hello());
    await closed;
    expect(broker.sessions).toEqual([]);
  });

  it('does not wait for what one of them calls a hello and is longer than any', async () => {
    await listen({ helloTimeoutMs: 60_000 });
    const peer = dial().resume();
    const announced = Buffer.alloc(4);
    announced.writeUInt32LE(4 * 1024 + 1);
    peer.write(announced);
    await until(() => peer.closed);
    expect(broker.sessions).toEqual([]);
  });

  it('hears nothing of the one that is too many', async () => {
    await listen({ maxConnections: 1 });
    dial().write(hello());
    await until(() => broker.sessions.length === 1);
    const peer = dial().resume();
    peer.write(hello());
    await new Promise((resolve) => peer.once('close', resolve));
    expect(broker.sessions).toHaveLength(1);
  });

  it('does not wait for one whose TLS handshake is not over when it closes', async () => {
    await listen({ tls: { key: TEST_KEY, cert: TEST_CERT } });
    dial();
    // When the second one is through, the first was accepted.
    const second = connectTls({ socket: dial(), ca: TEST_CERT, checkServerIdentity: () => undefined });
    await new Promise((resolve) => second.once('secureConnect', resolve));
    await server.close();
  });

  it('gives a TLS handshake as long as a hello', async () => {
    await listen({ tls: { key: TEST_KEY, cert: TEST_CERT }, helloTimeoutMs: 50 });
    await new Promise((resolve) => dial().resume().once('close', resolve));
  });

  it('does not wait for one that has not said hello when it closes', async () => {
    await listen();
    dial().resume();
    await until(() => server.connectionCount === 1);
    await server.close();
  });
});
