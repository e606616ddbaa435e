import { setTimeout as wait } from 'node:timers/promises';
import { Refusal } from '../verdict/shop-access.js';
import { callWithRetries, type Answer, type ShopClient } from './shop-client.js';

const ON_SALE_WITHIN_MS = 30_000;
const DAY_MS = 86_400_000;

type TicketType = { id: string; remaining?: number };
type Show = { sessions: { ticketTypes: TicketType[] }[] };

/** Puts a new show with one ticket type on sale, one ticket for each buyer, and waits until it can be bought. */
export async function openSale(shop: ShopClient, adminToken: string, tickets: number): Promise<string> {
  const startsAt = new Date(Date.now() + 30 * DAY_MS).toISOString();
  const answer = await callWithRetries(
    () =>
      shop.call('/api/admin/shows', {
        method: 'POST',
        token: adminToken,
        body: {
          title: `Flash sale ${new Date().toISOString()}`,
          venue: 'The load generator',
          startsAt,
          sessions: [
            {
              startsAt,
              ticketTypes: [
                {
                  name: 'Standing',
                  priceMinor: 4_900,
                  currency: 'EUR',
                  quantity: tickets,
                  perUserLimit: 1,
                  saleOpensAt: new Date(Date.now() - 60_000).toISOString(),
                },
              ],
            },
          ],
        },
      }),
    { maxRetries: 10, maxWaitMs: 2_000, random: Math.random },
  );
  const id = (answer.body as Show | undefined)?.sessions?.[0]?.ticketTypes[0]?.id;
  if (answer.status !== 201 || id === undefined) {
    throw new Refusal(`the show could not be created: ${answer.status} ${JSON.stringify(answer.body)}`);
  }
  await untilOnSale(shop, id, tickets);
  return id;
}

async function untilOnSale(shop: ShopClient, ticketTypeId: string, tickets: number): Promise<void> {
  const deadline = Date.now() + ON_SALE_WITHIN_MS;
  while (Date.now() < deadline) {
    if ((await remaining(shop, ticketTypeId)) === tickets) return;
    await wait(200);
  }
  throw new Refusal(`${ticketTypeId} is not on sale after ${ON_SALE_WITHIN_MS / 1000} s`);
}

/** A new show may be behind hundreds of older ones. */
async function remaining(shop: ShopClient, ticketTypeId: string): Promise<number | undefined> {
  for (let page: string | undefined = '/api/shows?limit=200'; page !== undefined;) {
    const { body, nextPage }: Answer = await shop.call(page, { method: 'GET' });
    const types = Array.isArray(body) ? (body as Show[]).flatMap(({ sessions }) => sessions) : [];
    const found = types.flatMap(({ ticketTypes }) => ticketTypes).find(({ id }) => id === ticketTypeId);
    if (found !== undefined) return found.remaining;
    page = nextPage;
  }
  return undefined;
}
