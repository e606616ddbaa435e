/** Fills a topic of our broker quickly: many messages per call. */
import { connectBroker } from '#libs/broker';
import type { Endpoint } from '../contenders/contender.js';
import { urlOf } from '../contenders/stampede.js';
import { finish, jobOf } from '../worker-process.js';

export type FillerJob = { endpoint: Endpoint; queue: string; messages: number; bytes: number };
export type FillerResult = { messages: number; perSecond: number };

const { endpoint, queue, messages, bytes } = jobOf<FillerJob>();
const SENDS_OF = 200;
const CALLS_UNDER_WAY = 16;
const port = connectBroker({ url: urlOf(endpoint), token: endpoint.token ?? '', clientName: 'bench-filler' });
const body = Buffer.alloc(bytes, 'x');
const startedMs = performance.now();
let sent = 0;
async function sendInTurn(): Promise<void> {
  while (sent < messages) {
    const count = Math.min(SENDS_OF, messages - sent);
    const first = sent;
    sent += count;
    await port.send(
      Array.from({ length: count }, (_, index) => ({
        topic: queue,
        tag: 'sent',
        key: `key-${(first + index) % 10_000}`,
        body,
      })),
    );
  }
}
await Promise.all(Array.from({ length: CALLS_UNDER_WAY }, sendInTurn));
const perSecond = Math.round(messages / ((performance.now() - startedMs) / 1000));
await port.close();
await finish({ messages, perSecond } satisfies FillerResult);
