import { MessagingError, type Page, type PageQuery } from '#libs/messaging/port';

const MAX_LIMIT = 10_000;

/** An item cut down to some of its parts. */
export type Parts<Item> = {
  nameOf(item: Item): string;
  countOf(item: Item): number;
  /** Absent: an item stands on one page whole. */
  slice?(item: Item, from: number, to: number): Item;
};

/**
 * One page of items in the order of their names, by what they consist of.
 * @throws {MessagingError} `INVALID_ARGUMENT`
 */
export function pageOf<Item>(items: readonly Item[], parts: Parts<Item>, query: PageQuery = {}): Page<Item> {
  const { limit, from } = startOf(query);
  const sorted = [...items].sort((a, b) => (parts.nameOf(a) < parts.nameOf(b) ? -1 : 1));
  const rest = sorted.filter((item) => parts.nameOf(item) >= from.name);
  const page: Page<Item> = { items: [] };
  let room = limit;
  for (const item of rest) {
    const name = parts.nameOf(item);
    const skip = name === from.name ? from.skip : 0;
    const count = parts.countOf(item) - skip;
    if (skip > 0 && count <= 0) continue;
    if (parts.slice === undefined) {
      if (page.items.length > 0 && count > room) return { ...page, next: tokenOf(name, 0) };
      page.items.push(item);
    } else {
      if (page.items.length > 0 && room <= 0) return { ...page, next: tokenOf(name, skip) };
      page.items.push(parts.slice(item, skip, skip + Math.max(0, Math.min(count, room))));
      if (skip > 0 && page.items.length === 1) page.continues = true;
      if (count > room) return { ...page, next: tokenOf(name, skip + room) };
    }
    room -= count;
  }
  return page;
}

/**
 * What a page begins with, and how much goes on it.
 * @throws {MessagingError} `INVALID_ARGUMENT`
 */
export function startOf({ limit = MAX_LIMIT, after }: PageQuery): {
  limit: number;
  from: { name: string; skip: number };
} {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw new MessagingError(
      'INVALID_ARGUMENT',
      `limit: a whole number from 1 to ${MAX_LIMIT}, not ${limit}`,
    );
  return { limit, from: after === undefined ? { name: '', skip: 0 } : readToken(after) };
}

const tokenOf = (name: string, skip: number): string => `${skip}:${name}`;

function readToken(token: string): { name: string; skip: number } {
  const [, skip, name] = /^(\d+):(.+)$/s.exec(token) ?? [];
  if (skip === undefined || name === undefined)
    throw new MessagingError('INVALID_ARGUMENT', `after: ${JSON.stringify(token)} is no page's next`);
  return { name, skip: Number(skip) };
}
