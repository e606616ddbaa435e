import { Inject, Injectable } from '@nestjs/common';
import type { ShowView } from '#libs/contracts';
import { CLOCK, isUniqueViolation, type Clock } from '#libs/service-kit';
import { PrismaClient } from '#prisma/stock';
import { insertShow } from '../create-show/create-show.js';

const DAY_MS = 86_400_000;

/**
 * Two shows for a shop that has none, so that a first visitor finds something on sale. Their ids are
 * always the same: scripts and docs may name them.
 */
@Injectable()
export class SeedShows {
  constructor(
    private readonly database: PrismaClient,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * True when the shows were added: both or, when another instance is about it at the same moment, none.
   * Their counters are VerifyStock's work, like any that are missing.
   */
  async execute(): Promise<boolean> {
    if ((await this.database.show.count()) > 0) return false;
    try {
      await this.database.$transaction(async (tx) => {
        for (const show of seedShows(this.clock.now())) await insertShow(tx, show);
      });
      return true;
    } catch (error) {
      if (isUniqueViolation(error)) return false;
      throw error;
    }
  }
}

/** The two shows, dated from `nowMs`; the sales opened the day before. */
export function seedShows(nowMs: number): ShowView[] {
  const inDays = (days: number): string => new Date(nowMs + days * DAY_MS).toISOString();
  const ticketType = (
    id: string,
    name: string,
    priceMinor: number,
    quantity: number,
    perUserLimit: number,
  ) => ({
    id,
    name,
    priceMinor,
    currency: 'EUR',
    quantity,
    remaining: quantity,
    perUserLimit,
    saleOpensAt: inDays(-1),
  });
  return [
    {
      id: 'sh-flash-sale',
      title: 'The Last Encore',
      venue: 'Riverside Arena',
      startsAt: inDays(30),
      sessions: [
        {
          id: 'se-flash-sale-1',
          startsAt: inDays(30),
          ticketTypes: [
            ticketType('ttf1ash00001', 'Standing', 4_950, 5_000, 4),
            ticketType('ttf1ash00002', 'Front of stage', 12_900, 500, 2),
          ],
        },
      ],
    },
    {
      id: 'sh-theatre',
      title: 'A Midwinter Tale',
      venue: 'Old Town Theatre',
      startsAt: inDays(45),
      sessions: [
        {
          id: 'se-theatre-1',
          startsAt: inDays(45),
          ticketTypes: [
            ticketType('ttthea000001', 'Stalls', 6_500, 220, 6),
            ticketType('ttthea000002', 'Balcony', 3_200, 120, 6),
          ],
        },
        {
          id: 'se-theatre-2',
          startsAt: inDays(46),
          ticketTypes: [
            ticketType('ttthea000003', 'Stalls', 6_500, 220, 6),
            ticketType('ttthea000004', 'Royal box', 15_000, 8, 2),
          ],
        },
      ],
    },
  ];
}
