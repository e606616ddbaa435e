/**
 * `npm run flash-sale -- --buyers N --tickets M [--rate R] [--pay P] [--seed S] [--json FILE]`: a flash sale
 * against the running shop, or one started for it, and the verdict on what it left behind.
 */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { awaitVerdict } from '../verdict/ask-verdict.js';
import { jwtSecret, Refusal, shopUrl, tokenSigner } from '../verdict/shop-access.js';
import { Buyers, now } from './buyers.js';
import { Measures } from './measures.js';
import { openSale } from './open-sale.js';
import { readOptions, type LoadOptions } from './options.js';
import { flawOf } from './orders.js';
import { reportOf, succeeded, summaryOf, type LoadReport } from './report.js';
import { runningShop } from './running-shop.js';
import { arrivalsMs, openLoop, seededRandom } from './schedule.js';
import { ShopClient } from './shop-client.js';

/** Time for what was accepted to be written and paid, after the last buyer came. */
const SETTLE_BASE_MS = 120_000;
const SETTLE_PER_TICKET_MS = 10;
const QUIET_WITHIN_MS = 120_000;

async function runSale(url: string, options: LoadOptions): Promise<LoadReport> {
  const shop = new ShopClient(url);
  const sign = tokenSigner(jwtSecret(), 12 * 3_600);
  const adminToken = sign('flash-sale', ['admin']);
  const random = seededRandom(options.seed);
  try {
    const ticketTypeId = await openSale(shop, adminToken, options.tickets);
    const dueMs = arrivalsMs(options.buyers, options.ratePerSecond, random);
    const pays = Uint8Array.from(dueMs, () => (random() < options.payShare ? 1 : 0));

    const startedAtMs = now();
    const measures = new Measures(startedAtMs);
    const deadlineMs =
      startedAtMs + (dueMs.at(-1) ?? 0) + SETTLE_BASE_MS + options.tickets * SETTLE_PER_TICKET_MS;
    const runId = randomUUID().slice(0, 8);
    const buyers = new Buyers({ shop, sign, ticketTypeId, runId, random, measures, deadlineMs });
    const journeys: Promise<void>[] = [];
    await openLoop(dueMs, now, (buyer) =>
      journeys.push(buyers.buy(buyer, startedAtMs + (dueMs[buyer] ?? 0), pays[buyer] === 1)),
    );
    await Promise.all(journeys);
    const durationMs = now() - startedAtMs;

    await Promise.all(buyers.orders.map((order) => buyers.lookAgain(order)));
    for (const { seen, dueAtMs } of buyers.orders) measures.came(seen?.history ?? [], dueAtMs);
    const demand = [ticketTypeId, measures.demand, ...lastSoldOut(measures)].join(':');
    const verdict = await awaitVerdict({ url, token: adminToken, demand }, QUIET_WITHIN_MS);
    const flaws = buyers.orders.flatMap((order) => flawOf(order) ?? []);
    const checked = buyers.orders.length;
    return reportOf({ options, ticketTypeId, measures, durationMs, checked, flaws, verdict });
  } finally {
    await shop.close();
  }
}

const lastSoldOut = ({ lastSoldOutAskedAtMs }: Measures): number[] =>
  lastSoldOutAskedAtMs === undefined ? [] : [Math.floor(lastSoldOutAskedAtMs)];

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  const url = shopUrl();
  const shop = await runningShop(url);
  // Ctrl-C: the shop started here must not stay behind.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void shop.stop().finally(() => process.exit(130)));
  }
  try {
    const report = await runSale(url, options);
    process.stdout.write(summaryOf(report));
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
    process.exitCode = succeeded(report) ? 0 : 1;
  } finally {
    await shop.stop();
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(
    `flash-sale: ${error instanceof Refusal ? error.message : String((error as Error).stack)}\n`,
  );
  process.exitCode = 1;
}
