import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { Refusal } from '../verdict/shop-access.js';

const READY_WITHIN_MS = 180_000;
const STOP_WITHIN_MS = 15_000;

export type RunningShop = { startedHere: boolean; stop(): Promise<void> };

/** The shop at `url`, once it is ready; when nobody answers there and it is this machine's, one is started. */
export async function runningShop(url: string): Promise<RunningShop> {
  if ((await health(url)) !== 'nobody') {
    await untilReady(url);
    return { startedHere: false, stop: () => Promise.resolve() };
  }
  if (process.env['SHOP_URL']) throw new Refusal(`no shop answers at ${url} (SHOP_URL)`);
  const shop = spawn(process.execPath, ['scripts/shop.mjs'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await saysReady(shop);
    await untilReady(url);
  } catch (error) {
    await stopShop(shop);
    throw error;
  }
  return { startedHere: true, stop: () => stopShop(shop) };
}

/** The launcher prints `Ready in … s` when every service is. */
async function saysReady(shop: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const tooLate = setTimeout(
      () => reject(new Refusal(`the shop is not ready after ${READY_WITHIN_MS / 1000} s`)),
      READY_WITHIN_MS,
    );
    let said = '';
    shop.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      process.stdout.write(chunk);
      // Only the end of a line may still grow into the words.
      said = (said + chunk).slice(-1_000);
      if (said.includes('Ready in')) settle(resolve);
    });
    const ended = (): void =>
      settle(() =>
        reject(
          new Refusal('the shop could not be started; one that runs elsewhere is found by PORT or SHOP_URL'),
        ),
      );
    shop.once('exit', ended);
    function settle(done: () => void): void {
      clearTimeout(tooLate);
      shop.off('exit', ended);
      done();
    }
  });
}

async function stopShop(shop: ChildProcess): Promise<void> {
  if (shop.exitCode !== null || shop.signalCode !== null) return;
  const gone = once(shop, 'exit');
  shop.kill('SIGINT');
  const tooLate = setTimeout(() => shop.kill('SIGKILL'), STOP_WITHIN_MS);
  await gone;
  clearTimeout(tooLate);
}

async function untilReady(url: string): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  while ((await health(url)) !== 'ready') {
    if (Date.now() > deadline) throw new Refusal(`the shop at ${url} does not get ready`);
    await wait(250);
  }
}

async function health(url: string): Promise<'ready' | 'not-ready' | 'nobody'> {
  try {
    const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(5_000) });
    await response.body?.cancel();
    return response.ok ? 'ready' : 'not-ready';
  } catch (error) {
    return error instanceof Error && error.name === 'TimeoutError' ? 'not-ready' : 'nobody';
  }
}
