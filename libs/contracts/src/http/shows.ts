import { z } from 'zod';
import { Currency, Instant, Minor, TicketTypeId } from '../values.js';

/** Times the largest quantity this is still an integer that JSON and JavaScript carry exactly. */
const MAX_PRICE_MINOR = 1_000_000_000;

const NewTicketType = z.strictObject({
  name: z.string().min(1).max(100),
  priceMinor: Minor.max(MAX_PRICE_MINOR),
  currency: Currency,
  quantity: z.int().min(1).max(1_000_000),
  perUserLimit: z.int().min(1).max(1_000_000),
  saleOpensAt: Instant,
});

/** At most 50 sessions of at most 50 ticket types. */
export const NewShow = z.strictObject({
  title: z.string().min(1).max(200),
  venue: z.string().min(1).max(200),
  startsAt: Instant,
  sessions: z
    .array(z.strictObject({ startsAt: Instant, ticketTypes: z.array(NewTicketType).min(1).max(50) }))
    .min(1)
    .max(50),
});
export type NewShow = z.output<typeof NewShow>;

export const ShowView = z.object({
  id: z.string(),
  title: z.string(),
  venue: z.string(),
  startsAt: Instant,
  sessions: z.array(
    z.object({
      id: z.string(),
      startsAt: Instant,
      ticketTypes: z.array(
        z.object({
          ...NewTicketType.shape,
          id: TicketTypeId,
          /** Free at this moment, from Redis; never negative. */
          remaining: z.int(),
        }),
      ),
    }),
  ),
});
export type ShowView = z.output<typeof ShowView>;
