import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { z } from 'zod';
import { InstantMs, type ListShowsQuery, type ShowView } from '#libs/contracts';
import { CLOCK, LOGGER, pageCursor, type Clock } from '#libs/service-kit';
import { RedisStock } from '#libs/redis-stock';
import { PrismaClient } from '#prisma/stock';

/** A page that thousands reload asks Postgres and Redis this seldom. */
const CACHE_MS = 250;

/** Pages that are kept for that long. Whoever walks through others is answered from the database. */
const MAX_CACHED_PAGES = 50;
/** When the last show of the page begins, and its id. */
const CURSOR = pageCursor(z.tuple([InstantMs, z.string().max(64)]));

type Row = Awaited<ReturnType<ListShows['read']>>[number];
/** `next`: the cursor of the page behind this one, if there is one. */
export type ShowsPage = { shows: ShowView[]; next: string | undefined };

/**
 * The shows that are not over (the last session of each is still to begin), soonest first. `remaining` is Redis'
 * word, at most a quarter of a second old.
 */
@Injectable()
export class ListShows {
  private cached = new Map<string, { until: number; page: Promise<ShowsPage> }>();

  constructor(
    private readonly database: PrismaClient,
    private readonly stock: RedisStock,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** @throws {DomainError} `INVALID_REQUEST` for a cursor that is not of this list. */
  async execute(query: ListShowsQuery): Promise<ShowsPage> {
    const nowMs = this.clock.now();
    const name = `${query.limit} ${query.cursor ?? ''}`;
    const known = this.cached.get(name);
    if (known !== undefined && nowMs < known.until) return known.page;
    const page = this.load(query, nowMs);
    if (this.cached.size >= MAX_CACHED_PAGES) this.forget();
    this.cached.set(name, { until: nowMs + CACHE_MS, page });
    // A failure is for those who wait now, not for those who come next.
    page.catch(() => this.forget());
    return page;
  }

  /** The next call reads anew. */
  forget(): void {
    this.cached.clear();
  }

  read(limit: number, after: [startsAtMs: number, id: string] | undefined, nowMs: number) {
    const startsAt = new Date(after?.[0] ?? 0);
    return this.database.show.findMany({
      where: {
        sessions: { some: { startsAt: { gt: new Date(nowMs) } } },
        ...(after && { OR: [{ startsAt: { gt: startsAt } }, { startsAt, id: { gt: after[1] } }] }),
      },
      take: limit,
      orderBy: [{ startsAt: 'asc' }, { id: 'asc' }],
      include: {
        sessions: {
          orderBy: [{ startsAt: 'asc' }, { id: 'asc' }],
          include: { ticketTypes: { orderBy: [{ priceMinor: 'desc' }, { id: 'asc' }] } },
        },
      },
    });
  }

  private async load({ limit, cursor }: ListShowsQuery, nowMs: number): Promise<ShowsPage> {
    const after = cursor === undefined ? undefined : CURSOR.decode(cursor);
    // One more than asked for tells whether there is another page.
    const found = await this.read(limit + 1, after, nowMs);
    const shows = found.slice(0, limit);
    const last = shows.at(-1);
    const ids = shows.flatMap(({ sessions }) =>
      sessions.flatMap((session) => session.ticketTypes.map(({ id }) => id)),
    );
    const free = await this.free(ids);
    return {
      shows: shows.map((show) => viewOf(show, free)),
      next:
        found.length > limit && last !== undefined
          ? CURSOR.encode([last.startsAt.getTime(), last.id])
          : undefined,
    };
  }

  /** Empty when Redis cannot be reached: the shows are still worth seeing, with what the ledger has left. */
  private async free(ids: readonly string[]): Promise<ReadonlyMap<string, number | undefined>> {
    try {
      const free = await this.stock.free(ids);
      return new Map(ids.map((id, index) => [id, free[index]]));
    } catch (error) {
      this.logger.warn({ err: error }, 'Redis does not say what remains; showing what the ledger has left');
      return new Map();
    }
  }
}

function viewOf(show: Row, free: ReadonlyMap<string, number | undefined>): ShowView {
  return {
    id: show.id,
    title: show.title,
    venue: show.venue,
    startsAt: show.startsAt.toISOString(),
    sessions: show.sessions.map((session) => ({
      id: session.id,
      startsAt: session.startsAt.toISOString(),
      ticketTypes: session.ticketTypes.map((ticketType) => ({
        id: ticketType.id,
        name: ticketType.name,
        priceMinor: Number(ticketType.priceMinor),
        currency: ticketType.currency,
        quantity: ticketType.quantity,
        remaining: Math.max(0, free.get(ticketType.id) ?? ticketType.quantity - ticketType.sold),
        perUserLimit: ticketType.perUserLimit,
        saleOpensAt: ticketType.saleOpensAt.toISOString(),
        ...(ticketType.saleClosesAt !== null && { saleClosesAt: ticketType.saleClosesAt.toISOString() }),
      })),
    })),
  };
}
