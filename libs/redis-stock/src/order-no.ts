import { createHash, randomBytes } from 'node:crypto';

/** Crockford's base 32, lower case: no i, l, o, u. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

function base32(bytes: Uint8Array, length: number): string {
  let text = '';
  let bits = 0;
  let waiting = 0;
  for (const byte of bytes) {
    bits = (bits << 8) | byte;
    waiting += 8;
    while (waiting >= 5 && text.length < length) {
      waiting -= 5;
      text += ALPHABET.charAt((bits >> waiting) & 31);
    }
    bits &= (1 << waiting) - 1;
  }
  return text;
}

/** A new id, `tt` and ten random characters. */
export const newTicketTypeId = (): string => `tt${base32(randomBytes(7), 10)}`;

/** What a buyer asks for, under a name of their own. */
export type OrderRequest = {
  buyerId: string;
  idempotencyKey: string;
  ticketTypeId: string;
  quantity: number;
};

/** For so long a request repeated under its key is the same order; after that the key is as good as new. */
export const SAME_REQUEST_MS = 86_400_000;
/** The clocks of two gateways differ by less. */
const CLOCK_DIFFERENCE_MS = 300_000;

/**
 * The number of the order that this request asks for: the ticket type's ten characters and sixteen of
 * a hash. The same request of the same buyer under the same key has the same number all day (of UTC), so a
 * repeat finds the first one's hold without a table of keys.
 */
export function orderNoFor(request: OrderRequest, nowMs: number): string {
  return numberOf(request, Math.floor(nowMs / SAME_REQUEST_MS));
}

function numberOf(request: OrderRequest, ...day: number[]): string {
  const { buyerId, idempotencyKey, ticketTypeId, quantity } = request;
  // JSON, because buyer and key may contain any separator.
  const identity = JSON.stringify([buyerId, idempotencyKey, ticketTypeId, quantity, ...day]);
  return `${ticketTypeId.slice(2)}-${base32(createHash('sha256').update(identity).digest(), 16)}`;
}

/**
 * The other numbers under which the same request may have been taken: yesterday's, in the minutes before midnight
 * that of a gateway whose clock is ahead, and that of a gateway of before numbers had a day, beside this one in a rollout.
 */
export function otherOrderNosFor(request: OrderRequest, nowMs: number): string[] {
  const numbers = [nowMs - SAME_REQUEST_MS, nowMs + CLOCK_DIFFERENCE_MS].map((atMs) =>
    orderNoFor(request, atMs),
  );
  return [...numbers.filter((number) => number !== orderNoFor(request, nowMs)), numberOf(request)];
}
