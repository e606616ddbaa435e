import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BrokerSandbox, EngineClient, message, until } from '../testing/engine-client.js';
import { FrameType, FrameWriter, PROTOCOL_VERSION } from '../wire/frames.js';
import { BrokerServer } from './broker-server.js';

const token = 'secret';
const log = { info: () => undefined, warn: () => undefined };

function frame(type: FrameType, request: number, ...json: unknown[]): Buffer {
  const writer = new FrameWriter();
  writer.begin(type, request);
  for (const value of json) writer.json(value);
  writer.end();
  return writer.take();
}

describe('a client that takes a byte now and then', () => {
  let sandbox: BrokerSandbox;
  let server: BrokerServer;

  beforeEach(async () => {
    sandbox = await BrokerSandbox.make();
  });
  afterEach(async () => {
    await server.close();
    await sandbox.cleanUp();
  });

  it('is cut off when its leases run out faster, and what it had goes to others', async () => {
    const broker = await sandbox.open();
    server = await BrokerServer.listen(broker, { port: 0, token, log });
    const sender = new EngineClient(broker);
    for (let n = 0; n < 8; n++) await sender.session.append([message('x'.repeat(1_000_000))]);

    const socket = connect(server.address.port, '127.0.0.1').on('error', () => undefined);
    // A listener, so that nothing is read but what is asked for.
    socket.on('readable', () => undefined);
    const trickle = setInterval(() => void socket.read(1), 10);
    const subscription = { group: 'g', topics: [{ topic: 't' }], leaseMs: 50 };
    socket.write(frame(FrameType.hello, 0, { version: PROTOCOL_VERSION, token, clientName: 'slow' }));
    socket.write(frame(FrameType.attach, 1, [1, subscription, 'push']));
    await until(() => server.connectionCount === 1, 'the connection');
    await until(() => server.connectionCount === 0, 'its end');
    clearInterval(trickle);
    socket.destroy();

    const other = new EngineClient(broker);
    await other.attach();
    const attempts: number[] = [];
    while (attempts.length < 8) {
      const delivery = await other.take();
      attempts.push(delivery.attempt);
      await other.ack(delivery);
    }
    // The backlog was bounded: each round of the eight is 8 MB.
    expect(Math.max(...attempts)).toBeLessThan(10);
  });
});
