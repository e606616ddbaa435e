/** Sends as fast as confirmations come, one call per message, a bounded number of them under way. */
import { contenderNamed } from '../contenders/contenders.js';
import type { Endpoint } from '../contenders/contender.js';
import { sleep } from '../processes.js';
import { cpuSeconds, finish, jobOf } from '../worker-process.js';

export type ProducerJob = {
  contender: string;
  endpoint: Endpoint;
  queue: string;
  bytes: number;
  inFlight: number;
  warmUpSeconds: number;
  seconds: number;
};
export type ProducerResult = {
  /** Confirmed in the measured time. */
  perSecond: number;
  /** All that were confirmed, before and after it too. */
  messages: number;
  cpuSeconds: number;
  cpuMicrosPerMessage: number;
};

const { contender, endpoint, queue, bytes, inFlight, warmUpSeconds, seconds } = jobOf<ProducerJob>();
const KEYS = 10_000;
const client = await contenderNamed(contender).connect(endpoint);
const body = 'x'.repeat(bytes);

let sent = 0;
let confirmed = 0;
let open = true;
async function sendInTurn(): Promise<void> {
  while (open) {
    sent += 1;
    await client.send(queue, `key-${sent % KEYS}`, body);
    confirmed += 1;
  }
}
const senders = Array.from({ length: inFlight }, sendInTurn);
await sleep(warmUpSeconds * 1000);
const [countBefore, cpuBefore, startedMs] = [confirmed, cpuSeconds(), performance.now()];
await sleep(seconds * 1000);
const [counted, cpu] = [confirmed - countBefore, cpuSeconds() - cpuBefore];
const elapsed = (performance.now() - startedMs) / 1000;
open = false;
await Promise.all(senders);
await client.close();
await finish({
  perSecond: Math.round(counted / elapsed),
  messages: confirmed,
  cpuSeconds: cpu,
  cpuMicrosPerMessage: (cpu / counted) * 1e6,
} satisfies ProducerResult);
