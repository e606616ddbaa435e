import { z } from 'zod';

/** Integer minor units (cents). Never a float, never a string. */
export const Minor = z.int().nonnegative();
/** What people read as a name: at least one character that can be seen (no blank, no control or zero-width character). */
export const Name = (maxChars: number) =>
  z
    .string()
    .min(1)
    .max(maxChars)
    .regex(
      /[^\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/,
      'must have a character that can be seen',
    );
/** ISO 4217, upper case. */
export const Currency = z.string().regex(/^[A-Z]{3}$/);
/** ISO 8601 in UTC, as `Date.toISOString` writes it. */
export const Instant = z.iso.datetime();
/** The last millisecond whose year has four digits: what is later neither Postgres reads nor ISO 8601 writes in the usual way. */
export const LATEST_INSTANT_MS = 253_402_300_799_999;
/** A time in epoch milliseconds, within a cursor. */
export const InstantMs = z.int().nonnegative().max(LATEST_INSTANT_MS);
/** `tt` and ten characters of Crockford's base 32, lower case. Short, because every order number carries it. */
export const TicketTypeId = z.string().regex(/^tt[0-9a-hjkmnp-tv-z]{10}$/);
/**
 * The ticket type's ten characters and sixteen of a hash over buyer, idempotency key and request, with
 * a dash between: an order's hold can be found from its number alone, and the same request always
 * gets the same number.
 */
export const OrderNo = z.string().regex(/^[0-9a-hjkmnp-tv-z]{10}-[0-9a-hjkmnp-tv-z]{16}$/);
export const BuyerId = z.string().min(1).max(128);
export const PaymentId = z.uuid();
export const Quantity = z.int().min(1).max(1_000_000);

/** The ticket type that an order number carries. */
export const ticketTypeOf = (orderNo: string): string => `tt${orderNo.slice(0, 10)}`;

/** The states of an order, in the order in which a happy one passes through. */
export const ORDER_STATUSES = [
  'QUEUED',
  'PENDING_PAYMENT',
  'PAID',
  'CANCELLED',
  'REFUNDING',
  'REFUNDED',
  'REJECTED',
] as const;
export const OrderStatus = z.enum(ORDER_STATUSES);
export type OrderStatus = z.output<typeof OrderStatus>;

/** What every order message carries, so that no consumer has to ask the order service. */
export const OrderFacts = z.object({
  orderNo: OrderNo,
  buyerId: BuyerId,
  ticketTypeId: TicketTypeId,
  quantity: Quantity,
  totalMinor: Minor,
  currency: Currency,
});
export type OrderFacts = z.output<typeof OrderFacts>;
