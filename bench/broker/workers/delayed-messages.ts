/**
 * Delayed messages in a durable broker: how late their handler gets them (received minus due), and how long it
 * takes until it has them all.
 */
import { build } from 'hdr-histogram-js';
import { EmbeddedBroker } from '#libs/broker';
import { cpuSeconds, finish, jobOf } from '../worker-process.js';

export type DelayedJob = { dir: string; timers: number; spreadSeconds: number };
export type DelayedResult = {
  latenessP99Ms: number;
  insertedPerSecond: number;
  /** From the first due time until the last message was received. */
  deliveredPerSecond: number;
  details: Record<string, number>;
};

const { dir, timers, spreadSeconds } = jobOf<DelayedJob>();
const SENDS_OF = 200;
const BODY_BYTES = 256;
/** Slowest insertion that is still over before the first one is due. */
const MIN_INSERTS_PER_SECOND = 60_000;
const MAX_MICROS = 600_000_000;

const broker = await EmbeddedBroker.open({ dir });
const port = broker.connect('bench');
const histogram = build({ highestTrackableValue: MAX_MICROS, numberOfSignificantValueDigits: 3 });
let seen = 0;
let resolveDone: () => void;
const done = new Promise<void>((resolve) => (resolveDone = resolve));
const subscription = {
  group: 'bench',
  topics: [{ topic: 'bench' }],
  maxInFlightMessages: 8_192,
  maxBatchMessages: 512,
};
await port.subscribe(subscription, async (batch) => {
  const nowMs = performance.timeOrigin + performance.now();
  for (const { message } of batch) {
    const dueMs = Number(Buffer.from(message.body.buffer, message.body.byteOffset, 16).latin1Slice(0, 16));
    histogram.recordValue(Math.min(MAX_MICROS, Math.max(0, Math.round((nowMs - dueMs) * 1000))));
  }
  await Promise.all(batch.map((delivery) => delivery.ack()));
  seen += batch.length;
  if (seen >= timers) resolveDone();
});

const rssBefore = process.memoryUsage().rss;
const startedMs = performance.now();
const firstDueMs = Date.now() + 1_000 + (timers / MIN_INSERTS_PER_SECOND) * 1000;
let sent = 0;
async function sendInTurn(): Promise<void> {
  while (sent < timers) {
    const count = Math.min(SENDS_OF, timers - sent);
    sent += count;
    await port.send(Array.from({ length: count }, delayedMessage));
  }
}
await Promise.all(Array.from({ length: 16 }, sendInTurn));
const insertSeconds = (performance.now() - startedMs) / 1000;
const insertedInTime = Date.now() < firstDueMs;
const rssPerTimer = (process.memoryUsage().rss - rssBefore) / timers;
await new Promise((resolve) => setTimeout(resolve, Math.max(0, firstDueMs - Date.now())));
const cpuBefore = cpuSeconds();
await done;
const deliverySeconds = (Date.now() - firstDueMs) / 1000;
const cpuMicrosPerExpiry = ((cpuSeconds() - cpuBefore) / timers) * 1e6;
await port.close();
await broker.close();
const atMs = (percent: number): number => histogram.getValueAtPercentile(percent) / 1000;
await finish({
  latenessP99Ms: atMs(99),
  insertedPerSecond: Math.round(timers / insertSeconds),
  deliveredPerSecond: Math.round(timers / deliverySeconds),
  details: {
    latenessP50Ms: atMs(50),
    latenessP999Ms: atMs(99.9),
    latenessMaxMs: histogram.maxValue / 1000,
    insertedInTime: Number(insertedInTime),
    deliverySeconds,
    rssPerTimer,
    cpuMicrosPerExpiry,
  },
} satisfies DelayedResult);

function delayedMessage() {
  const deliverAtMs = Math.floor(firstDueMs + Math.random() * spreadSeconds * 1000);
  const body = Buffer.from(String(deliverAtMs).padStart(16, '0').padEnd(BODY_BYTES, 'x'), 'latin1');
  return { topic: 'bench', tag: 'later', body, deliverAtMs };
}
