/** The same messages through a broker with the trace and one without, in turns, in one process. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EmbeddedBroker } from '#libs/broker';
import type { BrokerPort } from '#libs/messaging';
import { median } from '../benchmark.js';
import { cpuSeconds, finish, jobOf } from '../worker-process.js';

export type TraceJob = { dir: string; bytes: number; rounds: number; messages: number };
export type TraceResult = {
  sendPercent: number;
  consumePercent: number;
  /** How far two brokers without the trace were apart: what this machine cannot tell. */
  noisePercent: number;
  details: { sendMicros: Sides; consumeMicros: Sides };
};
/** CPU for each message, the median of the rounds. */
type Sides = { traced: number; untraced: number };
type Micros = { send: number; consume: number };

const { dir, bytes, rounds, messages } = jobOf<TraceJob>();
const IN_FLIGHT = 2_000;
const body = Buffer.alloc(bytes, 'x');
const topic = 'bench';

async function cpuMicrosOf(work: () => Promise<void>): Promise<number> {
  const before = cpuSeconds();
  await work();
  return ((cpuSeconds() - before) / messages) * 1e6;
}

async function sendAll(port: BrokerPort): Promise<void> {
  let sent = 0;
  const sendInTurn = async (): Promise<void> => {
    while (sent < messages) {
      sent += 1;
      await port.send([{ topic, tag: 'sent', key: `key-${sent % 10_000}`, body }]);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, sendInTurn));
}

async function consumeAll(port: BrokerPort): Promise<void> {
  let acked = 0;
  let received = 0;
  let allAcked: () => void;
  const done = new Promise<void>((resolve) => (allAcked = resolve));
  const subscription = {
    group: topic,
    topics: [{ topic }],
    maxInFlightMessages: 8_192,
    maxBatchMessages: 512,
  };
  const consumer = await port.subscribe(subscription, async (batch) => {
    for (const { message } of batch) received += message.body.byteLength;
    await Promise.all(batch.map((delivery) => delivery.ack()));
    acked += batch.length;
    if (acked === messages) allAcked();
  });
  await done;
  await consumer.close();
  if (received !== messages * bytes) throw new Error(`received ${received} bytes`);
}

/** In a broker of its own: of two that stay, the one opened first was found to be the slower one, traced or not. */
async function round(traceSteps?: number): Promise<Micros> {
  const options = { dir: join(dir, 'broker'), flush: 'async' as const };
  const broker = await EmbeddedBroker.open(traceSteps === undefined ? options : { ...options, traceSteps });
  const port = broker.connect('bench');
  const send = await cpuMicrosOf(() => sendAll(port));
  const consume = await cpuMicrosOf(() => consumeAll(port));
  await port.close();
  await broker.close();
  await rm(options.dir, { recursive: true });
  return { send, consume };
}

const UNTRACED = 0;
// The first rounds are for the compiler.
for (let i = 0; i < 2; i++) {
  await round();
  await round(UNTRACED);
}
const traced: Micros[] = [];
const untraced: Micros[] = [];
const untracedAgain: Micros[] = [];
const turns = [
  async () => traced.push(await round()),
  async () => untraced.push(await round(UNTRACED)),
  async () => untracedAgain.push(await round(UNTRACED)),
];
for (let i = 0; i < rounds; i++) {
  // Another one goes first each time.
  for (let turn = 0; turn < turns.length; turn++) await turns[(i + turn) % turns.length]?.();
}
const medianOf = (all: readonly Micros[], what: keyof Micros): number =>
  median(all.map((each) => each[what]));
const sidesOf = (what: keyof Micros): Sides => ({
  traced: medianOf(traced, what),
  untraced: medianOf([...untraced, ...untracedAgain], what),
});
const [sendMicros, consumeMicros] = [sidesOf('send'), sidesOf('consume')];
const percentOf = (sides: Sides): number => (sides.traced / sides.untraced - 1) * 100;
const apart = (what: keyof Micros): number =>
  Math.abs(medianOf(untraced, what) / medianOf(untracedAgain, what) - 1) * 100;
await finish({
  sendPercent: percentOf(sendMicros),
  consumePercent: percentOf(consumeMicros),
  noisePercent: Math.max(apart('send'), apart('consume')),
  details: { sendMicros, consumeMicros },
} satisfies TraceResult);
