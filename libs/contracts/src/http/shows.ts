import { z } from 'zod';
import { SaleCurrency } from '../money.js';
import { Currency, Instant, Minor, Name, TicketTypeId } from '../values.js';

/** Times the largest quantity this is still an integer that JSON and JavaScript carry exactly. */
const MAX_PRICE_MINOR = 1_000_000_000;

/** Shows are of our times: a date far off is a slip of the pen, and some are no date to a database. */
const ShowInstant = Instant.refine(
  (at) => at >= '1970' && at < '2200',
  'must be a date between 1970 and 2200',
);

const NewTicketType = z.strictObject({
  name: Name(100),
  priceMinor: Minor.max(MAX_PRICE_MINOR),
  currency: SaleCurrency,
  quantity: z.int().min(1).max(1_000_000),
  perUserLimit: z.int().min(1).max(1_000_000),
  saleOpensAt: ShowInstant,
  /** Absent: the sale goes on until the session begins. */
  saleClosesAt: ShowInstant.optional(),
});

const NewSession = z
  .strictObject({ startsAt: ShowInstant, ticketTypes: z.array(NewTicketType).min(1).max(50) })
  .superRefine(({ startsAt, ticketTypes }, context) => {
    const at = Date.parse;
    for (const [index, { saleOpensAt, saleClosesAt = startsAt }] of ticketTypes.entries()) {
      const refuse = (field: string, message: string): void =>
        context.addIssue({ code: 'custom', path: ['ticketTypes', index, field], message });
      if (at(saleClosesAt) > at(startsAt))
        refuse('saleClosesAt', 'must not be later than the start of the session');
      if (at(saleOpensAt) >= at(saleClosesAt))
        refuse(
          'saleOpensAt',
          'must be earlier than the end of the sale, which is the start of the session at the latest',
        );
    }
  });

/** At most 50 sessions of at most 50 ticket types. That none of them has begun is the service's to check: it takes a clock. */
export const NewShow = z.strictObject({
  title: Name(200),
  venue: Name(200),
  startsAt: ShowInstant,
  sessions: z.array(NewSession).min(1).max(50),
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
          /** Also one that was abolished since. */
          currency: Currency,
          id: TicketTypeId,
          /** Free at this moment, from Redis; never negative. */
          remaining: z.int(),
        }),
      ),
    }),
  ),
});
export type ShowView = z.output<typeof ShowView>;

/** The next page is named by the answer's `Link` header, with `rel="next"` (RFC 8288). */
export const ListShowsQuery = z.strictObject({
  cursor: z.string().min(1).max(200).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(100),
});
export type ListShowsQuery = z.output<typeof ListShowsQuery>;
