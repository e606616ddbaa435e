import { setTimeout as wait } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { awaitVerdict, type Verdict } from '../../verdict/ask-verdict.js';
import { tokenSigner } from '../../verdict/shop-access.js';
import type { Books, HoldRow, TicketType } from './checker/history.js';
import type { ShopUnderChaos } from './shop-under-chaos.js';

const HOLD_STATES: Readonly<Record<string, string>> = {
  h: 'held',
  c: 'claimed',
  s: 'sold',
  a: 'reacquired',
  r: 'released',
};

/** States in which an order is on its way to another by itself; one that waits for its payment times out. */
const MOVING = new Set(['PENDING_PAYMENT', 'REFUNDING']);
const POLL_MS = 1_000;

/**
 * Waits until the verdict holds, which it does not while messages move, and no order is on its way; then reads all
 * stores as they are, by way of no service.
 */
export async function readBooks(
  shop: ShopUnderChaos,
  ticketTypes: readonly TicketType[],
  quietWithinMs: number,
): Promise<Books> {
  const token = tokenSigner(shop.secret)('chaos', ['admin']);
  const deadline = performance.now() + quietWithinMs;
  const database = new pg.Client({ connectionString: shop.databaseUrl });
  await database.connect();
  try {
    for (;;) {
      const leftMs = deadline - performance.now();
      const verdict = await askUntilItHolds(shop.url, token, leftMs);
      const tables = await readTables(database);
      const isAtRest = tables.orders.every(({ status }) => !MOVING.has(status));
      if (!isAtRest && leftMs > 0) {
        await wait(POLL_MS);
        continue;
      }
      const holds = await readHolds(shop.redisUrl, ticketTypes);
      const deadLetters = await readDeadLetters(shop.url, token);
      return { ticketTypes, verdict, mails: shop.mailServer.mails, holds, deadLetters, ...tables };
    }
  } finally {
    await database.end();
  }
}

/** A shop that does not answer has a verdict, too. */
const askUntilItHolds = (url: string, token: string, withinMs: number): Promise<Verdict> =>
  awaitVerdict({ url, token }, Math.max(0, withinMs)).catch((error: Error) => ({
    ok: false,
    checks: [{ name: 'asked', ok: false, detail: error.message }],
  }));

async function readTables(database: pg.Client): Promise<Pick<Books, 'orders' | 'intents'>> {
  const orders = await database.query<Books['orders'][number]>(
    `SELECT order_no AS "orderNo", buyer_id AS buyer, ticket_type_id AS "ticketTypeId", quantity,
            total_minor::int AS "totalMinor", status, payment_id::text AS "paymentId", history
     FROM "order".orders ORDER BY order_no`,
  );
  const intents = await database.query<Books['intents'][number]>(
    `SELECT i.reference::text AS "paymentId", coalesce(p.order_no, '') AS "orderNo",
            i.amount_minor::int AS "amountMinor", i.status
     FROM payment.provider_intents AS i LEFT JOIN payment.payments AS p ON p.id = i.reference
     ORDER BY i.reference`,
  );
  return { orders: orders.rows, intents: intents.rows };
}

/** `h|2|1763688920000|1763689520000|17|0|buyer-9`: see libs/redis-stock/src/lua/hold.lua. */
async function readHolds(url: string, ticketTypes: readonly TicketType[]): Promise<HoldRow[]> {
  const redis = new Redis(url, { maxRetriesPerRequest: 3 });
  try {
    const holds: HoldRow[] = [];
    for (const { ticketTypeId } of ticketTypes) {
      for (const [orderNo, value] of Object.entries(await redis.hgetall(`stock:{${ticketTypeId}}:holds`))) {
        const [state = '', quantity = '', , , , , ...buyer] = value.split('|');
        holds.push({
          orderNo,
          ticketTypeId,
          state: HOLD_STATES[state] ?? value,
          quantity: Number(quantity),
          buyer: buyer.join('|'),
        });
      }
    }
    return holds;
  } finally {
    redis.disconnect();
  }
}

async function readDeadLetters(url: string, token: string): Promise<Books['deadLetters']> {
  const answer = await fetch(`${url}/api/ops/groups`, { headers: { authorization: `Bearer ${token}` } });
  // A shop that does not answer is found by its verdict.
  const groups = answer.ok ? ((await answer.json()) as { group: string; deadLetters: number }[]) : [];
  return groups.map(({ group, deadLetters }) => ({ group, count: deadLetters }));
}
