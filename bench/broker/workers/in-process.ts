/** A broker in the same process as its producer. */
import { EmbeddedBroker } from '#libs/broker';
import { type SendingJob, sendingRate } from '../sending-rate.js';
import { finish, jobOf } from '../worker-process.js';

export type InProcessJob = SendingJob & { dir: string; bytes: number };
export type InProcessResult = { perSecond: number; details: { cpuMicrosPerMessage: number } };

const { dir, bytes, ...sending } = jobOf<InProcessJob>();
const broker = await EmbeddedBroker.open({ dir, flush: 'async' });
const port = broker.connect('bench');
const body = Buffer.alloc(bytes, 'x');
const { perSecond, cpuMicrosPerMessage } = await sendingRate(
  (key) => port.send([{ topic: 'bench', tag: 'sent', key, body }]),
  sending,
);
await port.close();
await broker.close();
await finish({ perSecond, details: { cpuMicrosPerMessage } } satisfies InProcessResult);
