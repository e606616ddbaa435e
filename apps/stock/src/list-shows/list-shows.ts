import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import type { ShowView } from '#libs/contracts';
import { CLOCK, LOGGER, type Clock } from '#libs/service-kit';
import { StockLedger } from '#libs/stock-ledger';
import { PrismaClient } from '#prisma/stock';

/** A page that thousands reload asks Postgres and Redis this seldom. */
const CACHE_MS = 250;

type Row = Awaited<ReturnType<ListShows['read']>>[number];

/** What is on sale, soonest first. `remaining` is Redis' word, at most a quarter of a second old. */
@Injectable()
export class ListShows {
  private cached: { until: number; shows: Promise<ShowView[]> } | undefined;

  constructor(
    private readonly database: PrismaClient,
    private readonly stock: StockLedger,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  execute(): Promise<ShowView[]> {
    const now = this.clock.now();
    if (this.cached !== undefined && now < this.cached.until) return this.cached.shows;
    const shows = this.load();
    this.cached = { until: now + CACHE_MS, shows };
    // A failure is for those who wait now, not for those who come next.
    shows.catch(() => this.forget());
    return shows;
  }

  /** The next call reads anew. */
  forget(): void {
    this.cached = undefined;
  }

  read() {
    return this.database.show.findMany({
      orderBy: [{ startsAt: 'asc' }, { id: 'asc' }],
      include: {
        sessions: {
          orderBy: [{ startsAt: 'asc' }, { id: 'asc' }],
          include: { ticketTypes: { orderBy: [{ priceMinor: 'desc' }, { id: 'asc' }] } },
        },
      },
    });
  }

  private async load(): Promise<ShowView[]> {
    const shows = await this.read();
    const ids = shows.flatMap(({ sessions }) =>
      sessions.flatMap((session) => session.ticketTypes.map(({ id }) => id)),
    );
    const free = await this.free(ids);
    return shows.map((show) => viewOf(show, free));
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
      })),
    })),
  };
}
