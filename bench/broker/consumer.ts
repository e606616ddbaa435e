/** A consumer as a process of its own: one handler call and one ack per message. Prints one JSON line. */
import { connectBroker } from '#libs/broker';

const [url = '', token = '', countText = '', batchText = '1', topic = 'bench', group = 'bench'] =
  process.argv.slice(2);
const count = Number(countText);
const port = connectBroker({ url, token, clientName: 'bench-consumer' });
await port.ready();

let seen = 0;
let startedMs = 0;
await new Promise<void>((resolve, reject) => {
  const subscription = {
    group,
    topics: [{ topic }],
    maxInFlightMessages: 8_192,
    maxBatchMessages: Number(batchText),
  };
  port
    .subscribe(subscription, async (batch) => {
      if (seen === 0) startedMs = performance.now();
      seen += batch.length;
      await Promise.all(batch.map((delivery) => delivery.ack()));
      if (seen >= count) resolve();
    })
    .catch(reject);
});
const seconds = (performance.now() - startedMs) / 1000;
const { user, system } = process.cpuUsage();
process.stdout.write(
  `${JSON.stringify({ role: 'consumer', messages: seen, perSecond: Math.round(seen / seconds), cpuSeconds: (user + system) / 1e6 })}\n`,
);
await port.close();
