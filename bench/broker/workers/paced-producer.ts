/**
 * Open loop: messages are due at a fixed rate whether or not earlier ones were confirmed, and carry the
 * time at which they were due. A broker that stalls is so charged for all that should have been
 * sent meanwhile ("coordinated omission" would leave them out).
 */
import { contenderNamed } from '../contenders/contenders.js';
import type { Endpoint } from '../contenders/contender.js';
import { stamp, nowNs } from '../stamp.js';
import { cpuSeconds, finish, jobOf } from '../worker-process.js';

export type PacedProducerJob = {
  contender: string;
  endpoint: Endpoint;
  queue: string;
  bytes: number;
  perSecond: number;
  messages: number;
};
export type PacedProducerResult = { messages: number; cpuSeconds: number };

const { contender, endpoint, queue, bytes, perSecond, messages } = jobOf<PacedProducerJob>();
const client = await contenderNamed(contender).connect(endpoint);
const intervalNs = BigInt(Math.round(1e9 / perSecond));
const startNs = nowNs() + 50_000_000n;
const confirmations: Promise<void>[] = [];

await new Promise<void>((resolve) => {
  let next = 0;
  const tick = (): void => {
    const now = nowNs();
    for (; next < messages; next++) {
      const dueNs = startNs + BigInt(next) * intervalNs;
      if (dueNs > now) break;
      confirmations.push(client.send(queue, `key-${next}`, stamp(dueNs, nowNs(), bytes)));
    }
    if (next === messages) resolve();
    else setTimeout(tick, 1);
  };
  tick();
});
await Promise.all(confirmations);
await client.close();
await finish({ messages, cpuSeconds: cpuSeconds() } satisfies PacedProducerResult);
