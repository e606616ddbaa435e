/** A broker in the same process as its producer. */
import { EmbeddedBroker } from '#libs/broker';
import { sleep } from '../processes.js';
import { cpuSeconds, finish, jobOf } from '../worker-process.js';

export type InProcessJob = {
  dir: string;
  bytes: number;
  inFlight: number;
  seconds: number;
  warmUpSeconds: number;
};
export type InProcessResult = { perSecond: number; details: { cpuMicrosPerMessage: number } };

const { dir, bytes, inFlight, seconds, warmUpSeconds } = jobOf<InProcessJob>();
const KEYS = 10_000;
const broker = await EmbeddedBroker.open({ dir, flush: 'async' });
const port = broker.connect('bench');
const body = Buffer.alloc(bytes, 'x');

let sent = 0;
let confirmed = 0;
let open = true;
async function sendInTurn(): Promise<void> {
  while (open) {
    sent += 1;
    await port.send([{ topic: 'bench', tag: 'sent', key: `key-${sent % KEYS}`, body }]);
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
await port.close();
await broker.close();
await finish({
  perSecond: Math.round(counted / elapsed),
  details: { cpuMicrosPerMessage: (cpu / counted) * 1e6 },
} satisfies InProcessResult);
