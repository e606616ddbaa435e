import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import type { NewShow, ShowView } from '#libs/contracts';
import { CLOCK, LOGGER, type Clock } from '#libs/service-kit';
import { newTicketTypeId } from '#libs/redis-stock';
import { PrismaClient } from '#prisma/stock';
import { alreadyBegun } from '../domain/errors.js';
import { RebuildStock } from '../rebuild-stock/rebuild-stock.js';
import { RecordSync } from '../rebuild-stock/record-sync.js';

/** Puts a show on sale: first in Postgres, then its counters in Redis. */
@Injectable()
export class CreateShow {
  constructor(
    private readonly database: PrismaClient,
    private readonly rebuildStock: RebuildStock,
    private readonly recordSync: RecordSync,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** @throws {DomainError} `INVALID_REQUEST` when the show or one of its sessions has begun. */
  async execute(show: NewShow): Promise<ShowView> {
    const nowMs = this.clock.now();
    const begun = [show, ...show.sessions].find(({ startsAt }) => Date.parse(startsAt) <= nowMs);
    if (begun !== undefined) throw alreadyBegun(begun.startsAt);
    const view = withIds(show);
    await insertShow(this.database, view);
    for (const { id } of view.sessions.flatMap((session) => session.ticketTypes)) await this.open(id);
    return view;
  }

  private async open(ticketTypeId: string): Promise<void> {
    try {
      await this.recordSync.execute(ticketTypeId, 'created', await this.rebuildStock.execute(ticketTypeId));
    } catch (error) {
      // The show exists. VerifyStock finds the missing counters, so its sale opens when Redis is back.
      this.logger.warn({ err: error, ticketTypeId }, 'the counters of a new ticket type are not there yet');
    }
  }
}

const newId = (prefix: string): string => `${prefix}${randomBytes(8).toString('hex')}`;

function withIds(show: NewShow): ShowView {
  return {
    ...show,
    id: newId('sh'),
    sessions: show.sessions.map((session) => ({
      ...session,
      id: newId('se'),
      ticketTypes: session.ticketTypes.map((ticketType) => ({
        ...ticketType,
        id: newTicketTypeId(),
        remaining: ticketType.quantity,
      })),
    })),
  };
}

/** Writes the show with all its sessions and ticket types, or nothing. */
export async function insertShow(database: Pick<PrismaClient, 'show'>, show: ShowView): Promise<void> {
  await database.show.create({
    data: {
      id: show.id,
      title: show.title,
      venue: show.venue,
      startsAt: new Date(show.startsAt),
      sessions: {
        create: show.sessions.map((session) => ({
          id: session.id,
          startsAt: new Date(session.startsAt),
          ticketTypes: {
            create: session.ticketTypes.map((ticketType) => ({
              id: ticketType.id,
              name: ticketType.name,
              priceMinor: BigInt(ticketType.priceMinor),
              currency: ticketType.currency,
              quantity: ticketType.quantity,
              perUserLimit: ticketType.perUserLimit,
              saleOpensAt: new Date(ticketType.saleOpensAt),
              saleClosesAt: ticketType.saleClosesAt === undefined ? null : new Date(ticketType.saleClosesAt),
            })),
          },
        })),
      },
    },
  });
}
