/** Sends as fast as confirmations come, one call per message, a bounded number of them under way. */
import { contenderNamed } from '../contenders/contenders.js';
import type { Endpoint } from '../contenders/contender.js';
import { type SendingJob, type SendingRate, sendingRate } from '../sending-rate.js';
import { finish, jobOf } from '../worker-process.js';

export type ProducerJob = SendingJob & {
  contender: string;
  endpoint: Endpoint;
  queue: string;
  bytes: number;
};
export type ProducerResult = SendingRate;

const { contender, endpoint, queue, bytes, ...sending } = jobOf<ProducerJob>();
const client = await contenderNamed(contender).connect(endpoint);
const body = 'x'.repeat(bytes);
const rate = await sendingRate((key) => client.send(queue, key, body), sending);
await client.close();
await finish(rate satisfies ProducerResult);
