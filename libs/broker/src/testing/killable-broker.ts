/** A program for specs: a broker over TCP on the directory that it is given, whose clock stands until it is told by how much to move it. */
import { EmbeddedBroker } from '../engine/embedded-broker.js';
import { BrokerServer } from '../server/broker-server.js';

let nowMs = 1_800_000_000_000;
const broker = await EmbeddedBroker.open({ dir: process.argv[2]!, clock: { now: () => nowMs } });
const server = await BrokerServer.listen(broker, { port: 0, token: 'secret' });
process.on('message', (advanceMs: number) => {
  nowMs += advanceMs;
  broker.tick();
});
process.send?.(server.address.port);
