/**
 * The same messages through a broker with the trace and one without, in short turns (with, without, without, with) in one
 * process. Two brokers without it are compared alike: what this way of measuring cannot tell apart.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EmbeddedBroker } from '#libs/broker';
import type { BrokerPort } from '#libs/messaging';
import { median } from '../benchmark.js';
import { type Difference, type Pair, differenceOf } from '../paired.js';
import { cpuSeconds, finish, jobOf } from '../worker-process.js';

/** Of `rounds`, each has brokers of its own and `turns` pairs; `messages` are those of one turn of one side. */
export type TraceJob = { dir: string; bytes: number; rounds: number; turns: number; messages: number };
/** What the trace adds to the CPU of a message, and that CPU without it. */
export type Cost = Difference & { untracedMicros: number };
export type TraceResult = Record<'send' | 'sendNoise' | 'consume' | 'consumeNoise', Cost>;

const { dir, bytes, rounds, turns, messages } = jobOf<TraceJob>();
const IN_FLIGHT = 2_000;
const UNTRACED = 0;
/** For the compiler: with new brokers it takes some functions back and compiles them anew. */
const WARM_UP_TURNS = 5;
const body = Buffer.alloc(bytes, 'x');
const topic = 'bench';

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

/** CPU of a message. Its garbage is collected in the turn itself, so that no other one pays for it. */
async function cpuMicrosOf(work: () => Promise<void>): Promise<number> {
  const before = cpuSeconds();
  await work();
  globalThis.gc?.({ type: 'minor' });
  return ((cpuSeconds() - before) / messages) * 1e6;
}

type Turn = (port: BrokerPort) => Promise<number>;
const send: Turn = (port) => cpuMicrosOf(() => sendAll(port));
const consume: Turn = async (port) => {
  await sendAll(port);
  return cpuMicrosOf(() => consumeAll(port));
};

/** `untracedFirst`: opened first, which was found to make a broker the slower one, traced or not. */
async function round(turn: Turn, traceSteps: number | undefined, untracedFirst: boolean): Promise<Pair[]> {
  const open = async (name: string, steps: number | undefined) => {
    const options = { dir: join(dir, name), flush: 'async' as const };
    const broker = await EmbeddedBroker.open(
      steps === undefined ? options : { ...options, traceSteps: steps },
    );
    return { broker, port: broker.connect('bench') };
  };
  const first = await open('first', untracedFirst ? UNTRACED : traceSteps);
  const second = await open('second', untracedFirst ? traceSteps : UNTRACED);
  const [untraced, traced] = untracedFirst ? [first, second] : [second, first];
  const pairs: Pair[] = [];
  for (let i = -WARM_UP_TURNS; i < turns; i++) {
    const before = await turn(traced.port);
    const other = ((await turn(untraced.port)) + (await turn(untraced.port))) / 2;
    const one = (before + (await turn(traced.port))) / 2;
    if (i >= 0) pairs.push({ one, other });
  }
  for (const { broker, port } of [first, second]) {
    await port.close();
    await broker.close();
  }
  for (const name of ['first', 'second']) await rm(join(dir, name), { recursive: true });
  return pairs;
}

/** All rounds of each comparison, in turns too. */
const compared = {
  send: { turn: send, traceSteps: undefined, rounds: [] as Pair[][] },
  sendNoise: { turn: send, traceSteps: UNTRACED, rounds: [] as Pair[][] },
  consume: { turn: consume, traceSteps: undefined, rounds: [] as Pair[][] },
  consumeNoise: { turn: consume, traceSteps: UNTRACED, rounds: [] as Pair[][] },
};
for (let i = 0; i < rounds; i++) {
  for (const each of Object.values(compared)) {
    each.rounds.push(await round(each.turn, each.traceSteps, i % 2 === 0));
  }
}
const costOf = ({ rounds: pairs }: { rounds: Pair[][] }): Cost => ({
  ...differenceOf(pairs),
  untracedMicros: median(pairs.flat().map(({ other }) => other)),
});
await finish({
  send: costOf(compared.send),
  sendNoise: costOf(compared.sendNoise),
  consume: costOf(compared.consume),
  consumeNoise: costOf(compared.consumeNoise),
} satisfies TraceResult);
