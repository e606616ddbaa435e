import { afterEach, expect, it } from '@jest/globals';
import type { BrokerPort } from '#libs/messaging/port';
import { connectBroker } from '../client/connect-broker.js';
import { BrokerSandbox } from '../testing/engine-client.js';
import { BrokerServer } from './broker-server.js';

const log = { info: () => undefined, warn: () => undefined };
const PARTITIONS = 1_024;

let tearDown: () => Promise<void> = () => Promise.resolve();
afterEach(() => tearDown());

/** A client over TCP of a broker with so many topics of 1,024 partitions, and their names. */
async function brokerWith(topics: number): Promise<{ port: BrokerPort; names: string[] }> {
  const sandbox = await BrokerSandbox.make();
  const broker = await sandbox.open();
  const server = await BrokerServer.listen(broker, { port: 0, token: 'secret', log });
  const url = `tcp://127.0.0.1:${server.address.port}`;
  const port = connectBroker({ url, token: 'secret', clientName: 'operator', log });
  tearDown = async () => {
    await port.close();
    await server.close();
    await sandbox.cleanUp();
  };
  const names = Array.from({ length: topics }, (_, n) => `${n}-`.padEnd(100, 'x'));
  const { admin } = broker.connect('maker');
  for (const name of names) await admin.createTopic(name, { partitions: PARTITIONS, flush: 'async' });
  return { port, names };
}

it('tells of 200 topics with 1,024 partitions each', async () => {
  const { port, names } = await brokerWith(200);
  const topics = await port.admin.topics();
  expect(topics.map(({ topic }) => topic)).toEqual(names);
  expect(topics.every(({ partitions }) => partitions.length === PARTITIONS)).toBe(true);
});

it('tells of a group that has more positions than fit into one answer', async () => {
  const { port, names } = await brokerWith(64);
  await port.subscribe({ group: 'all', topics: [{ topic: '*' }] }, () => Promise.resolve());
  const groups = await port.admin.groups();
  expect(groups.map(({ group, members }) => [group, members.length])).toEqual([['all', 1]]);
  const places = new Set(groups[0]?.positions.map(({ topic, partition }) => `${topic} ${partition}`));
  expect(places.size).toBe(names.length * PARTITIONS);
});
