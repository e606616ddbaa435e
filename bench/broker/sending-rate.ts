import { sleep } from './processes.js';
import { cpuSeconds } from './worker-process.js';

const KEYS = 10_000;

export type SendingJob = { inFlight: number; warmUpSeconds: number; seconds: number };
/** `messages`: all that were confirmed, the warm-up's too. The rest is of the measured seconds, and of this process. */
export type SendingRate = {
  perSecond: number;
  messages: number;
  cpuSeconds: number;
  cpuMicrosPerMessage: number;
};

/** Sends one message after the other in `inFlight` loops. What is confirmed between the warm-up and the end counts. */
export async function sendingRate(
  send: (key: string) => Promise<unknown>,
  { inFlight, warmUpSeconds, seconds }: SendingJob,
): Promise<SendingRate> {
  let sent = 0;
  let confirmed = 0;
  let open = true;
  const sendInTurn = async (): Promise<void> => {
    while (open) {
      sent += 1;
      await send(`key-${sent % KEYS}`);
      confirmed += 1;
    }
  };
  const senders = Array.from({ length: inFlight }, sendInTurn);
  await sleep(warmUpSeconds * 1000);
  const [countBefore, cpuBefore, startedMs] = [confirmed, cpuSeconds(), performance.now()];
  await sleep(seconds * 1000);
  const [counted, cpu] = [confirmed - countBefore, cpuSeconds() - cpuBefore];
  const elapsed = (performance.now() - startedMs) / 1000;
  open = false;
  await Promise.all(senders);
  return {
    perSecond: Math.round(counted / elapsed),
    messages: confirmed,
    cpuSeconds: cpu,
    cpuMicrosPerMessage: (cpu / counted) * 1e6,
  };
}
