/** Takes a backlog of messages and acknowledges each. */
import { contenderNamed } from '../contenders/contenders.js';
import type { Endpoint } from '../contenders/contender.js';
import { cpuSeconds, finish, jobOf } from '../worker-process.js';

export type ConsumerJob = {
  contender: string;
  endpoint: Endpoint;
  queue: string;
  /** Stops after so many. */
  messages: number;
};
export type ConsumerResult = {
  /** Acknowledged per second, the first tenth left out. */
  perSecond: number;
  messages: number;
  cpuSeconds: number;
  cpuMicrosPerMessage: number;
};

const { contender, endpoint, queue, messages } = jobOf<ConsumerJob>();
const warmUp = Math.floor(messages / 10);
const client = await contenderNamed(contender).connect(endpoint);

let acked = 0;
let start: { acked: number; ms: number; cpu: number } | undefined;
await new Promise<void>((resolve, reject) => {
  const onAcked = (more: number): void => {
    acked += more;
    if (start === undefined && acked >= warmUp) start = { acked, ms: performance.now(), cpu: cpuSeconds() };
    if (acked >= messages) resolve();
  };
  client.consume(queue, () => undefined, onAcked).catch(reject);
});
const from = start ?? { acked: 0, ms: 0, cpu: 0 };
const counted = acked - from.acked;
const elapsed = (performance.now() - from.ms) / 1000;
const cpu = cpuSeconds() - from.cpu;
await client.close();
await finish({
  perSecond: Math.round(counted / elapsed),
  messages: acked,
  cpuSeconds: cpu,
  cpuMicrosPerMessage: (cpu / counted) * 1e6,
} satisfies ConsumerResult);
