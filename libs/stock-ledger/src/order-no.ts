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

/**
 * The number of the order that this request asks for: the ticket type's ten characters and sixteen of
 * a hash. The same request of the same buyer under the same key always has the same number, so a
 * repeat finds the first one's hold without a table of keys.
 */
export function orderNoFor(request: {
  buyerId: string;
  idempotencyKey: string;
  ticketTypeId: string;
  quantity: number;
}): string {
  const { buyerId, idempotencyKey, ticketTypeId, quantity } = request;
  // JSON, because buyer and key may contain any separator.
  const identity = JSON.stringify([buyerId, idempotencyKey, ticketTypeId, quantity]);
  return `${ticketTypeId.slice(2)}-${base32(createHash('sha256').update(identity).digest(), 16)}`;
}
