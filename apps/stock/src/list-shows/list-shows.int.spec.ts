import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { StockUnderTest } from '../testing/stock-under-test.js';

const DAY_MS = 86_400_000;

let shop: StockUnderTest;
beforeAll(async () => {
  shop = await StockUnderTest.start();
}, 60_000);
afterAll(() => shop.stop());
beforeEach(() => {
  shop.clock.aheadMs = shop.redisClock.aheadMs = 0;
});

/** A show with one session per start; the first is the show's own. */
async function show(title: string, ...startsInDays: number[]): Promise<string> {
  const starts = startsInDays.map((days) => new Date(shop.clock.now() + days * DAY_MS).toISOString());
  const created = await shop.createShow.execute({
    title,
    venue: 'A hall',
    startsAt: starts[0] ?? '',
    sessions: starts.map((startsAt) => ({
      startsAt,
      ticketTypes: [
        {
          name: 'Seat',
          priceMinor: 100,
          currency: 'EUR',
          quantity: 5,
          perUserLimit: 5,
          saleOpensAt: '2026-01-01T00:00:00Z',
        },
      ],
    })),
  });
  return created.id;
}

async function pages(limit: number): Promise<string[][]> {
  const found: string[][] = [];
  let cursor: string | undefined;
  do {
    const { shows, next } = await shop.listShows.execute({ limit, ...(cursor !== undefined && { cursor }) });
    found.push(shows.map(({ title }) => title));
    cursor = next;
  } while (cursor !== undefined);
  return found;
}

it('pages through all shows, soonest first, each once, also those that begin at the same moment', async () => {
  shop.clock.now = () => Date.UTC(2027, 0, 1);
  for (const title of ['b', 'b', 'b', 'b']) await show(title, 2);
  await show('a', 1);
  await show('c', 3);
  expect(await pages(2)).toEqual([
    ['a', 'b'],
    ['b', 'b'],
    ['b', 'c'],
  ]);
  expect(await pages(6)).toEqual([['a', 'b', 'b', 'b', 'b', 'c']]);
  shop.clock.now = () => Date.now() + shop.clock.aheadMs;
});

it('leaves out a show when its last session has begun, and not before', async () => {
  await show('two evenings', 400, 401);
  const isListed = async (aheadDays: number): Promise<boolean> => {
    shop.clock.aheadMs = aheadDays * DAY_MS;
    return (await pages(200)).flat().includes('two evenings');
  };
  expect(await isListed(400.5)).toBe(true);
  expect(await isListed(401.5)).toBe(false);
});

it('refuses a cursor of another list', async () => {
  await expect(shop.listShows.execute({ limit: 1, cursor: 'W10' })).rejects.toMatchObject({
    code: 'INVALID_REQUEST',
  });
});

it('creates no show that has begun', async () => {
  const invalid = { code: 'INVALID_REQUEST', kind: 'invalid' };
  await expect(show('yesterday', -1)).rejects.toMatchObject(invalid);
  await expect(show('an evening too late', 1, -1)).rejects.toMatchObject(invalid);
});

it('sells no ticket once its session has begun, also where it is written otherwise', async () => {
  const startsAt = new Date(shop.clock.now() + DAY_MS).toISOString();
  const type = await shop.ticketType(5, 5, startsAt);
  await shop.database.ticketType.update({
    where: { id: type },
    data: { saleClosesAt: new Date('2199-01-01') },
  });
  await shop.rebuildStock.execute(type);
  expect(await shop.reserve(shop.order(type, 'in time'))).toBe('reserved');
  shop.redisClock.aheadMs = DAY_MS + 1;
  expect(await shop.reserve(shop.order(type, 'too late'))).toBe('sale-over');
});

it('ends a sale when it was to end', async () => {
  const type = await shop.ticketType(5);
  const closesAt = new Date(shop.clock.now() + 60_000);
  await shop.database.ticketType.update({ where: { id: type }, data: { saleClosesAt: closesAt } });
  await shop.rebuildStock.execute(type);
  shop.redisClock.aheadMs = 59_000;
  expect(await shop.reserve(shop.order(type, 'in time'))).toBe('reserved');
  shop.redisClock.aheadMs = 60_001;
  expect(await shop.reserve(shop.order(type, 'too late'))).toBe('sale-over');
});
