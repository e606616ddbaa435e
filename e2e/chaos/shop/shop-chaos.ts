import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { arrivalsMs, openLoop } from '../../load/schedule.js';
import { ShopClient } from '../../load/shop-client.js';
import { tokenSigner } from '../../verdict/shop-access.js';
import { diceOf } from '../dice.js';
import { strikeAll } from '../strike-all.js';
import { readBooks } from './books.js';
import { Buyers } from './buyers.js';
import { check } from './checker/check.js';
import type { SaleHistory } from './checker/history.js';
import { openSales } from './open-sales.js';
import { readOptions, type ShopChaosOptions } from './options.js';
import { reportOf, summaryOf, type ShopChaosReport } from './report.js';
import { SCENARIOS, type Scenario } from './scenarios.js';
import { ShopUnderChaos } from './shop-under-chaos.js';
import { Striking } from './strike.js';

const PAYMENT_TIMEOUT_MS = 12_000;
const HOLD_TIMEOUT_MS = 35_000;
const TOKENS_VALID_FOR_SECONDS = 12 * 3_600;
/** Each has its own ticket type, so that there is always something to sell. */
const WAVE_MS = 20_000;
/** Tickets per buyer: some go away empty-handed. */
const TICKETS_PER_BUYER = 0.75;
/** After everything is healed: for buyers to finish what they have begun. */
const FINISH_WITHIN_MS = 45_000;
/** Until the verdict holds. The check-back asks every 30 s, the provider's webhooks come at least so often. */
const QUIET_WITHIN_MS = 180_000;

/**
 * `npm run chaos -- --shop`: a sale under load while everything is struck at random moments, and a check of
 * every answer that a buyer got. False when a promise was broken.
 *
 * @throws {Refusal} naming the option that is wrong.
 */
export async function shopChaos(args: readonly string[]): Promise<boolean> {
  const options = readOptions(args);
  const dir = mkdtempSync(join(tmpdir(), 'stampede-shop-chaos-'));
  let ok = false;
  try {
    process.stdout.write(`chaos: seed ${options.seed}, ${options.minutes} min, in ${dir}\n`);
    const report = await run(options, dir);
    process.stdout.write(summaryOf(report));
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report)}\n`);
    ok = report.ok;
  } finally {
    if (ok && !options.keep) rmSync(dir, { recursive: true, force: true });
    else process.stdout.write(`the history and the logs are in ${dir}\n`);
  }
  return ok;
}

async function run(options: ShopChaosOptions, dir: string): Promise<ShopChaosReport> {
  const shop = await ShopUnderChaos.start(dir, {
    PAYMENT_TIMEOUT_MS: String(PAYMENT_TIMEOUT_MS),
    HOLD_TIMEOUT_MS: String(HOLD_TIMEOUT_MS),
    LOG_LEVEL: 'warn',
  });
  const stop = (): void => void shop.destroy().finally(() => process.exit(130));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const canFillDisks = shop.disks.impossible === undefined;
    const scenario = SCENARIOS[options.scenario]({ ...options, canFillDisks });
    return await runScenario(shop, dir, options.seed, scenario);
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    await shop.destroy();
  }
}

/** The sale, the strikes, the healing, the quiet, the check. */
async function runScenario(
  shop: ShopUnderChaos,
  dir: string,
  seed: number,
  scenario: Scenario,
): Promise<ShopChaosReport> {
  const startedAt = new Date().toISOString();
  const client = new ShopClient(shop.buyersUrl);
  const direct = new ShopClient(shop.url);
  const sign = tokenSigner(shop.secret, TOKENS_VALID_FOR_SECONDS);
  const dice = diceOf(seed);
  const { rate, pollers } = scenario;
  const dueMs = arrivalsMs(Math.ceil((rate * scenario.durationMs) / 1_000), rate, dice.random);
  const lastMs = dueMs.at(-1) ?? 0;
  const types = Math.floor(lastMs / WAVE_MS) + 1;
  const ticketsEach = Math.max(5, Math.round(((rate * WAVE_MS) / 1_000) * TICKETS_PER_BUYER));
  const ticketTypes = await openSales(direct, sign('chaos', ['admin']), { types, ticketsEach });

  const beganAt = performance.now();
  const clock = (): number => performance.now() - beganAt;
  let healedAtMs = Infinity;
  const buyers = new Buyers({
    shop: client,
    sign,
    dice,
    clock,
    paymentTimeoutMs: PAYMENT_TIMEOUT_MS,
    deadlineMs: () => healedAtMs + FINISH_WITHIN_MS,
  });
  const journeys: Promise<void>[] = [];
  const arriving = openLoop(dueMs, clock, (index) => {
    const type = ticketTypes[Math.floor((dueMs[index] ?? 0) / WAVE_MS)];
    if (type !== undefined)
      journeys.push(buyers.buy(`buyer-${index}`, type.ticketTypeId, dice.random() < 0.8 ? 1 : 2));
  });
  const polling = pollers === undefined ? Promise.resolve() : buyers.poll(pollers);
  const striking = new Striking(shop, clock);
  await strikeAll({
    planned: scenario.strikes,
    durationMs: scenario.durationMs,
    strike: (strike) => striking.strike(strike),
  });
  const struckForMs = clock();
  const notReady = await striking.heal();
  healedAtMs = clock();
  await Promise.all([arriving, polling]);
  await Promise.all(journeys);
  const books = await readBooks(shop, ticketTypes, QUIET_WITHIN_MS);
  const quietAfterMs = clock() - healedAtMs;
  healedAtMs = clock();
  await buyers.lookAgain(direct);

  const history: SaleHistory = {
    events: buyers.events,
    struck: striking.struck,
    books,
    notReady,
    ends: shop.ends.map((end) => ({ ...end, atMs: end.atMs - beganAt })),
  };
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'history.json'), JSON.stringify(history));
  await Promise.all([client.close(), direct.close()]);
  return reportOf({
    scenario: scenario.name,
    seed,
    startedAt,
    struckForMs,
    quietAfterMs,
    load: { buyersPerSecond: rate, buyers: dueMs.length, ticketTypes: types, tickets: types * ticketsEach },
    impossible: shop.disks.impossible === undefined ? [] : [`filling a disk: ${shop.disks.impossible}`],
    struck: striking.struck,
    result: check(history),
  });
}
