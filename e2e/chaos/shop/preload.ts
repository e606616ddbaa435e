/**
 * Loaded into every process of a shop under chaos before its own code (`NODE_OPTIONS=--import …`). It sends the
 * service's connections through the proxies, and lets its wall clock be set: the launcher knows nothing of either.
 */
import { readFileSync } from 'node:fs';
import type { PreloadPlan } from './preload-plan.js';

const CLOCK_POLL_MS = 100;

const planPath = process.env['STAMPEDE_CHAOS_PLAN'];
const service = /\/apps\/([^/]+)\/src\/main\.js$/.exec(process.argv[1] ?? '')?.[1];

if (planPath !== undefined && service !== undefined) {
  const plan = JSON.parse(readFileSync(planPath, 'utf8')) as PreloadPlan;
  for (const { variable, port, otherwise } of plan.links[service] ?? []) {
    const url = new URL(process.env[variable] || otherwise || '');
    url.port = String(port);
    process.env[variable] = url.href;
  }
  followClock(`${plan.clockDir}/${service}`);
}

/** The file holds by how many milliseconds this process's clock is wrong; timers and `performance` are not. */
function followClock(path: string): void {
  const RealDate = Date;
  const realNow = Date.now.bind(Date);
  let wrongByMs = 0;
  const now = (): number => realNow() + wrongByMs;
  RealDate.now = now;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args, newTarget) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as Date,
    apply: () => new RealDate(now()).toString(),
  });
  setInterval(() => {
    try {
      wrongByMs = Number(readFileSync(path, 'utf8')) || 0;
    } catch {
      // Nobody has set this clock yet.
    }
  }, CLOCK_POLL_MS).unref();
}
