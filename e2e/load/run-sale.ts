import { randomUUID } from 'node:crypto';
import { awaitVerdict } from '../verdict/ask-verdict.js';
import { tokenSigner } from '../verdict/shop-access.js';
import { Buyers, now } from './buyers.js';
import { Measures } from './measures.js';
import { openSale } from './open-sale.js';
import type { LoadOptions } from './options.js';
import { flawOf } from './orders.js';
import { reportOf, type LoadReport } from './report.js';
import { arrivalsMs, openLoop, seededRandom } from './schedule.js';
import { ShopClient } from './shop-client.js';

const TOKENS_VALID_FOR_SECONDS = 12 * 3_600;
const SETTLE_PER_TICKET_MS = 10;

/** How long is waited for the shop to finish what it has accepted. */
export type Patience = {
  /** After the last buyer came, until every order is written and paid; and 10 ms more for each ticket. */
  settleMs: number;
  /** For the verdict to hold. */
  quietMs: number;
};
const PATIENCE: Patience = { settleMs: 120_000, quietMs: 120_000 };

/**
 * One sale, from the new show to the verdict: everybody arrives when due, whoever is accepted follows the
 * order and pays, and every accepted order is asked for once more at the end.
 */
export async function runSale(
  shopAt: { url: string; secret: string },
  options: LoadOptions,
  patience = PATIENCE,
): Promise<LoadReport> {
  const { url, secret } = shopAt;
  const shop = new ShopClient(url);
  const sign = tokenSigner(secret, TOKENS_VALID_FOR_SECONDS);
  const adminToken = sign('flash-sale', ['admin']);
  const random = seededRandom(options.seed);
  try {
    const ticketTypeId = await openSale(shop, adminToken, options.tickets);
    const dueMs = arrivalsMs(options.buyers, options.ratePerSecond, random);
    const pays = Uint8Array.from(dueMs, () => (random() < options.payShare ? 1 : 0));

    const startedAtMs = now();
    const measures = new Measures(startedAtMs);
    const deadlineMs =
      startedAtMs + (dueMs.at(-1) ?? 0) + patience.settleMs + options.tickets * SETTLE_PER_TICKET_MS;
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
    const accepted = buyers.orders.map(({ orderNo }) => orderNo);
    const verdict = await awaitVerdict({ url, token: adminToken, demand, accepted }, patience.quietMs);
    const flaws = buyers.orders.flatMap((order) => flawOf(order) ?? []);
    const checked = buyers.orders.length;
    return reportOf({ options, ticketTypeId, measures, durationMs, checked, flaws, verdict });
  } finally {
    await shop.close();
  }
}

const lastSoldOut = ({ lastSoldOutAskedAtMs }: Measures): number[] =>
  lastSoldOutAskedAtMs === undefined ? [] : [Math.floor(lastSoldOutAskedAtMs)];
