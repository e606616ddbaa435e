/** The timers' own cost, without messages: the bare wheel, and the store that the engine uses. */
import { TimerStore } from '../../../libs/broker/src/timers/timer-store.js';
import { TimingWheel } from '../../../libs/broker/src/timers/timing-wheel.js';
import { finish, jobOf } from '../worker-process.js';

export type WheelJob = { timers: number };
export type WheelResult = {
  wheelInsertNs: number;
  wheelExpiryNs: number;
  storeInsertNs: number;
  storeExpiryNs: number;
  storeBytes: number;
};

const { timers } = jobOf<WheelJob>();
const START_MS = 1_700_000_000_000;
/** A million timers are due within an hour, as a shop's payment timeouts and retries are; fewer in as much less. */
const MS_PER_TIMER = 3.6;
/** The engine's own bound for one round. */
const ROUND = 1_000;
const STEP_MS = 5;

const spreadMs = Math.ceil(timers * MS_PER_TIMER);
const due = new Float64Array(timers);
for (let timer = 0; timer < timers; timer++) due[timer] = START_MS + 1 + Math.floor(Math.random() * spreadMs);

// Memory is measured in the first round, when there is no garbage yet; time in the second, when the compiler has seen the code.
const { bytes: storeBytes } = measureStore(timers);
measureWheel(timers);
const wheel = measureWheel(timers);
const store = measureStore(timers);
await finish({
  wheelInsertNs: wheel.insertNs,
  wheelExpiryNs: wheel.expiryNs,
  storeInsertNs: store.insertNs,
  storeExpiryNs: store.expiryNs,
  storeBytes,
} satisfies WheelResult);

function measureWheel(count: number): { insertNs: number; expiryNs: number } {
  const wheel = new TimingWheel(START_MS, (timer) => due[timer] ?? 0);
  const insertNs = cpuNs(count, () => {
    for (let timer = 0; timer < count; timer++) wheel.add(timer);
  });
  let expired = 0;
  const expiryNs = cpuNs(count, () => {
    for (let now = START_MS; now <= START_MS + spreadMs; now += STEP_MS)
      wheel.advance(now, () => (expired += 1));
    wheel.advance(START_MS + spreadMs + STEP_MS, () => (expired += 1));
  });
  if (expired !== count) throw new Error(`${expired} of ${count} timers expired`);
  return { insertNs, expiryNs };
}

function measureStore(count: number): { insertNs: number; expiryNs: number; bytes: number } {
  const bytesBefore = memoryBytes();
  const store = new TimerStore(START_MS);
  store.start(START_MS);
  const insertNs = cpuNs(count, () => {
    for (let timer = 0; timer < count; timer++) {
      store.set(Math.imul(timer, 0x9e3779b1) >>> 0, timer + 1, due[timer] ?? 0);
    }
  });
  const bytes = (memoryBytes() - bytesBefore) / count;
  let expired = 0;
  const expiryNs = cpuNs(count, () => {
    for (let now = START_MS; expired < count; now += STEP_MS) {
      for (;;) {
        const batch = store.takeDue(now, ROUND);
        for (const { hash, position } of batch) store.remove(hash, position);
        store.release(now);
        expired += batch.length;
        if (batch.length < ROUND) break;
      }
    }
  });
  return { insertNs, expiryNs, bytes };
}

function cpuNs(count: number, work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / count;
}

/** Typed arrays and the heap, after a collection: started with `--expose-gc`. */
function memoryBytes(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
