import type { ShopClient } from '../../load/shop-client.js';
import { callWithRetries } from '../../load/shop-client.js';
import type { TicketType } from './checker/history.js';

const DAY_MS = 86_400_000;
const PER_USER_LIMIT = 4;
export const PRICE_MINOR = 4_900;
/** Ticket types of one show. */
const PER_SHOW = 10;

/** Puts so many ticket types on sale, each with the same number of tickets, before anything is struck. */
export async function openSales(
  shop: ShopClient,
  adminToken: string,
  { types, ticketsEach }: { types: number; ticketsEach: number },
): Promise<TicketType[]> {
  const opened: TicketType[] = [];
  while (opened.length < types) {
    const count = Math.min(PER_SHOW, types - opened.length);
    const startsAt = new Date(Date.now() + 30 * DAY_MS).toISOString();
    const ticketTypes = Array.from({ length: count }, (_, index) => ({
      name: `Block ${opened.length + index + 1}`,
      priceMinor: PRICE_MINOR,
      currency: 'EUR',
      quantity: ticketsEach,
      perUserLimit: PER_USER_LIMIT,
      saleOpensAt: new Date(Date.now() - 60_000).toISOString(),
    }));
    const answer = await callWithRetries(
      () =>
        shop.call('/api/admin/shows', {
          method: 'POST',
          token: adminToken,
          body: {
            title: 'A sale that is struck',
            venue: 'e2e',
            startsAt,
            sessions: [{ startsAt, ticketTypes }],
          },
        }),
      { maxRetries: 5, maxWaitMs: 2_000, random: Math.random },
    );
    const sessions = answer.body?.['sessions'] as { ticketTypes: { id: string }[] }[] | undefined;
    if (answer.status !== 201 || sessions === undefined)
      throw new Error(`the show could not be created: ${answer.status} ${JSON.stringify(answer.body)}`);
    for (const { id } of sessions.flatMap((session) => session.ticketTypes))
      opened.push({ ticketTypeId: id, quantity: ticketsEach, perUserLimit: PER_USER_LIMIT });
  }
  return opened;
}
