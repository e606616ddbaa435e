/** One producer and ten groups that keep up with it, in the broker's process. */
import { readFileSync } from 'node:fs';
import { EmbeddedBroker } from '#libs/broker';
import { cpuSeconds, finish, jobOf } from '../worker-process.js';

export type FanOutJob = { dir: string; messages: number; groups: number; bytes: number };
export type FanOutResult = {
  deliveriesPerSecond: number;
  readFromFilesMb: number;
  details: { cpuMicrosPerDelivery: number };
};

const { dir, messages, groups, bytes } = jobOf<FanOutJob>();
/** Sends under way; few enough that the groups keep up, as they would with a producer that is not in a hurry. */
const IN_FLIGHT = 2_000;
const broker = await EmbeddedBroker.open({ dir, flush: 'async' });
const port = broker.connect('bench');
const body = Buffer.alloc(bytes, 'x');
const expected = messages * groups;
let acked = 0;
let received = 0;
let resolveDone: () => void;
const done = new Promise<void>((resolve) => (resolveDone = resolve));
for (let group = 0; group < groups; group++) {
  const subscription = {
    group: `group-${group}`,
    topics: [{ topic: 'bench' }],
    maxInFlightMessages: 8_192,
    maxBatchMessages: 512,
  };
  await port.subscribe(subscription, async (batch) => {
    // Messages are decoded when somebody looks at them, as every handler does.
    for (const { message } of batch) received += message.body.byteLength;
    await Promise.all(batch.map((delivery) => delivery.ack()));
    acked += batch.length;
    if (acked === expected) resolveDone();
  });
}
const readBefore = bytesRead();
const cpuBefore = cpuSeconds();
const startedMs = performance.now();
let sent = 0;
async function sendInTurn(): Promise<void> {
  while (sent < messages) {
    sent += 1;
    await port.send([{ topic: 'bench', tag: 'sent', key: `key-${sent % 10_000}`, body }]);
  }
}
await Promise.all(Array.from({ length: IN_FLIGHT }, sendInTurn));
await done;
if (received !== expected * bytes) throw new Error(`received ${received} bytes`);
const elapsed = (performance.now() - startedMs) / 1000;
const cpu = cpuSeconds() - cpuBefore;
const readFromFilesMb = (bytesRead() - readBefore) / 1e6;
await port.close();
await broker.close();
await finish({
  deliveriesPerSecond: Math.round(expected / elapsed),
  readFromFilesMb,
  details: { cpuMicrosPerDelivery: (cpu / expected) * 1e6 },
} satisfies FanOutResult);

/** Bytes that this process has read by system calls: what is served from the broker's memory is not among them. */
function bytesRead(): number {
  return Number(/rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1] ?? NaN);
}
