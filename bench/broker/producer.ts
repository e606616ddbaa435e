/** A producer as a process of its own: `send` per message, a bounded number of them under way. Prints one JSON line. */
import { connectBroker } from '#libs/broker';

const [url = '', token = '', countText = '', sizeText = '', inFlightText = '', topic = 'bench'] =
  process.argv.slice(2);
const count = Number(countText);
const inFlight = Number(inFlightText);
const body = Buffer.alloc(Number(sizeText), 'x');
const port = connectBroker({ url, token, clientName: 'bench-producer' });
await port.ready();

let sent = 0;
async function sendInTurn(): Promise<void> {
  while (sent < count) {
    sent++;
    await port.send([{ topic, tag: 'sent', key: `key-${sent % 10_000}`, body }]);
  }
}
const startedMs = performance.now();
await Promise.all(Array.from({ length: inFlight }, sendInTurn));
const seconds = (performance.now() - startedMs) / 1000;
await port.close();
const { user, system } = process.cpuUsage();
process.stdout.write(
  `${JSON.stringify({ role: 'producer', messages: count, perSecond: Math.round(count / seconds), cpuSeconds: (user + system) / 1e6 })}\n`,
);
