/** Sends of every kind, with a history of what was asked and answered. Goes on until it is told to stop. */
import { Worker, pause } from './worker.js';
import { Sending } from './sending.js';
import { Transacting } from './transacting.js';

/** Calls under way; more wait, as they would in a service of bounded concurrency. */
const MAX_UNDER_WAY = 128;
/** Now and then many calls start at once, so that a kill finds more than one under way. */
const BURST_SHARE = 0.05;
const LARGEST_BURST = 40;

const worker = new Worker();
const sending = new Sending(worker);
const transacting = new Transacting(worker, sending);
const underWay = new Set<Promise<void>>();
let stopped = false;

function next(): Promise<void> {
  const dice = worker.random();
  if (dice < 0.68) return sending.sendOne();
  if (dice < 0.78) return sending.sendBatch();
  if (dice < 0.8) return sending.sendAgain();
  if (dice < 0.92) return sending.sendTimer();
  return transacting.run();
}

function start(call: Promise<void>): void {
  underWay.add(call);
  call.then(
    () => underWay.delete(call),
    (error: unknown) => {
      process.stderr.write(`${worker.settings.name}: ${String(error)}\n`);
      process.exit(2);
    },
  );
}

worker.on('stop', () => {
  stopped = true;
});
worker.on('leave', () => void worker.broker.close().then(() => process.exit(0)));
await transacting.answerChecks();
worker.tell('joined');
while (!stopped) {
  for (let calls = worker.chance(BURST_SHARE) ? worker.between(2, LARGEST_BURST) : 1; calls > 0; calls--)
    if (underWay.size < MAX_UNDER_WAY) start(next());
  await pause((-Math.log(1 - worker.random()) / worker.settings.rate) * 1_000);
}
while (underWay.size > 0) await Promise.all(underWay);
worker.tell('idle');
