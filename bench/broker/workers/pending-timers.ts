/** Very many delayed messages that nobody is due to get soon: what the whole broker process takes for them. */
import { EmbeddedBroker } from '#libs/broker';
import { finish, jobOf } from '../worker-process.js';

export type PendingJob = { dir: string; timers: number };
export type PendingResult = { rssMb: number; reopenSeconds: number; details: Record<string, number> };

const { dir, timers } = jobOf<PendingJob>();
const SENDS_OF = 1_000;
const CALLS_UNDER_WAY = 8;
const FIRST_DUE_MS = Date.now() + 24 * 3_600_000;
const SPREAD_MS = 24 * 3_600_000;
const MIB = 1024 * 1024;

let broker = await EmbeddedBroker.open({ dir });
const rssBeforeMb = process.memoryUsage().rss / MIB;
const port = broker.connect('bench');
const startedMs = performance.now();
let sent = 0;
async function sendInTurn(): Promise<void> {
  while (sent < timers) {
    const count = Math.min(SENDS_OF, timers - sent);
    sent += count;
    await port.send(Array.from({ length: count }, delayedMessage));
  }
}
await Promise.all(Array.from({ length: CALLS_UNDER_WAY }, sendInTurn));
const insertSeconds = (performance.now() - startedMs) / 1000;
const { pending } = await port.admin.timers();
if (pending !== timers) throw new Error(`${pending} of ${timers} timers are pending`);
const { rss, arrayBuffers, heapUsed } = process.memoryUsage();
await port.close();
await broker.close();
const closedMs = performance.now();
broker = await EmbeddedBroker.open({ dir });
const reopenSeconds = (performance.now() - closedMs) / 1000;
await broker.close();
await finish({
  rssMb: rss / MIB,
  reopenSeconds,
  details: {
    rssBeforeMb,
    arrayBuffersMb: arrayBuffers / MIB,
    heapUsedMb: heapUsed / MIB,
    insertedPerSecond: Math.round(timers / insertSeconds),
  },
} satisfies PendingResult);

function delayedMessage() {
  const deliverAtMs = Math.floor(FIRST_DUE_MS + Math.random() * SPREAD_MS);
  return { topic: 'bench', tag: 'later', body: Buffer.from('later'), deliverAtMs };
}
