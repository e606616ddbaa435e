import { createHash } from 'node:crypto';

/** Crockford's base 32, lower case: no i, l, o or u, so a number survives being read out loud. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
/** 80 bits of the hash; two different requests meet by chance once in about 10¹² orders of one ticket type. */
const HASH_CHARS = 16;
const TICKET_TYPE_ID = /^tt[0-9a-hjkmnp-tv-z]{10}$/;

/** Everything that makes a request to buy the same request. */
export type OrderRequest = {
  buyerId: string;
  idempotencyKey: string;
  ticketTypeId: string;
  quantity: number;
};

/**
 * The order number of a request: `<ticket type's 10 chars>-<16 chars of a hash>`.
 *
 * A pure function of the request, so a buyer who never saw the answer gets the same number by asking
 * again, from any gateway, without any gateway having stored it. A different body under the same key
 * gives a different number, which is what makes the reuse of a key visible.
 *
 * The parts are hashed as a JSON list: joined by a separator, `("a|b", "c")` and `("a", "b|c")` would
 * be one request.
 */
export function orderNumberOf({ buyerId, idempotencyKey, ticketTypeId, quantity }: OrderRequest): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([buyerId, idempotencyKey, ticketTypeId, quantity]))
    .digest();
  return `${ticketTypeId.slice(2)}-${base32(hash, HASH_CHARS)}`;
}

/** Whether a string can be the id of a ticket type; one that cannot is unknown without asking Redis. */
export function isTicketTypeId(value: string): boolean {
  return TICKET_TYPE_ID.test(value);
}

/** The first `chars` × 5 bits of `bytes`, most significant first. */
function base32(bytes: Uint8Array, chars: number): string {
  let text = '';
  let pending = 0;
  let pendingBits = 0;
  for (const byte of bytes) {
    pending = (pending << 8) | byte;
    pendingBits += 8;
    while (pendingBits >= 5 && text.length < chars) {
      pendingBits -= 5;
      text += ALPHABET.charAt((pending >> pendingBits) & 31);
    }
    pending &= (1 << pendingBits) - 1;
    if (text.length === chars) break;
  }
  return text;
}
