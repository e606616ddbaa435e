import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { BrokerPort } from '#libs/messaging/port';
import { connectBroker } from '../client/connect-broker.js';
import { BrokerServer } from '../server/broker-server.js';
import { BrokerSandbox } from '../testing/engine-client.js';
import { until } from '../testing/until.js';
import type { EmbeddedBroker } from './embedded-broker.js';

const LEASE_MS = 800;
const token = 'secret';

/** Stops this whole thread, as a machine that sleeps or swaps does: no timer fires and no socket is read. */
const standStill = (forMs: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, forMs);
};

const HEARTBEAT = { everyMs: 100, silenceMs: 300 };

describe('a broker that stood still', () => {
  let said: string[];
  const log = { info: () => undefined, warn: (_about: object, text: string) => void said.push(text) };
  let sandbox: BrokerSandbox;
  let broker: EmbeddedBroker;
  let server: BrokerServer;
  let port: BrokerPort;

  beforeEach(async () => {
    sandbox = await BrokerSandbox.make();
    broker = await sandbox.open();
    said = [];
    server = await BrokerServer.listen(broker, { port: 0, token, log, heartbeat: HEARTBEAT });
  });
  afterEach(async () => {
    await port.close();
    await server.close();
    await sandbox.cleanUp();
  });

  const ways: Record<string, () => BrokerPort> = {
    'in process': () => broker.connect('worker'),
    'over TCP': () =>
      connectBroker({
        url: `tcp://127.0.0.1:${server.address.port}`,
        ...{ token, clientName: 'worker', log, heartbeat: HEARTBEAT },
      }),
  };

  it.each(Object.keys(ways))(
    'takes no lease from those whom it could not hear, and cuts nobody off, %s',
    async (way) => {
      port = ways[way]!();
      const attempts: number[] = [];
      let finish = (): void => undefined;
      const finished = new Promise<void>((resolve) => (finish = resolve));
      const subscription = { group: 'g', topics: [{ topic: 't' }], leaseMs: LEASE_MS };
      await port.subscribe(subscription, async ([delivery]) => {
        attempts.push(delivery!.attempt);
        if (delivery!.message.tag === 'slow') await finished;
        await delivery!.ack();
      });
      await port.send([{ topic: 't', tag: 'slow', body: Buffer.from('x') }]);
      await until(() => attempts.length === 1);
      standStill(1.5 * LEASE_MS);
      // Ends of leases are looked for before a timer comes due later than this.
      await port.send([{ topic: 't', tag: 'timer', body: Buffer.from('y'), deliverAtMs: Date.now() + 500 }]);
      await until(() => attempts.length === 2, 'the later message');
      finish();
      await until(async () => (await port.admin.groups())[0]?.lag === 0, 'both acks');
      expect(attempts).toEqual([1, 1]);
      expect(said).toEqual([]);
    },
  );
});
