/** Measures how old messages are when they arrive. */
import { build } from 'hdr-histogram-js';
import type { Histogram } from 'hdr-histogram-js';
import { contenderNamed } from '../contenders/contenders.js';
import type { Endpoint } from '../contenders/contender.js';
import { agesOf } from '../stamp.js';
import { finish, jobOf, sayReady } from '../worker-process.js';

export type LatencyJob = {
  contender: string;
  endpoint: Endpoint;
  queue: string;
  messages: number;
  /** The first ones, which are not counted. */
  warmUpMessages: number;
};
export type Percentiles = { p50: number; p90: number; p99: number; p999: number; max: number };
/** In milliseconds. */
export type LatencyResult = { sinceDue: Percentiles; sinceSent: Percentiles; messages: number };

const { contender, endpoint, queue, messages, warmUpMessages } = jobOf<LatencyJob>();
const client = await contenderNamed(contender).connect(endpoint);
const MAX_MICROS = 60_000_000;
const histogram = (): Histogram =>
  build({ highestTrackableValue: MAX_MICROS, numberOfSignificantValueDigits: 3 });
const sinceDue = histogram();
const sinceSent = histogram();

let seen = 0;
let acked = 0;
await new Promise<void>((resolve, reject) => {
  client
    .consume(
      queue,
      (body) => {
        seen += 1;
        if (seen <= warmUpMessages) return;
        const { sinceDueMicros, sinceSentMicros } = agesOf(body);
        sinceDue.recordValue(Math.min(MAX_MICROS, Math.round(sinceDueMicros)));
        sinceSent.recordValue(Math.min(MAX_MICROS, Math.round(sinceSentMicros)));
      },
      (more) => {
        acked += more;
        if (acked >= messages) resolve();
      },
    )
    .then(sayReady, reject);
});
await client.close();
await finish({
  sinceDue: percentiles(sinceDue),
  sinceSent: percentiles(sinceSent),
  messages: seen,
} satisfies LatencyResult);

function percentiles(of: Histogram): Percentiles {
  const at = (percent: number): number => of.getValueAtPercentile(percent) / 1000;
  return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: of.maxValue / 1000 };
}
