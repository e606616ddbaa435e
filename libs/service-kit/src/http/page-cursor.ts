import type { z } from 'zod';
import { DomainError } from '#libs/messaging';
import { refusalOfJson } from './text.js';

/**
 * Where a page of a list ends, as the client carries it to the next request: opaque, and checked when it comes
 * back. `schema` is the position of the page's last entry, an array of what the list is sorted by.
 */
export function pageCursor<Position>(schema: z.ZodType<Position>): {
  encode(position: Position): string;
  /** @throws {DomainError} `INVALID_REQUEST` when it is not a cursor that we made. */
  decode(text: string): Position;
} {
  return {
    encode: (position) => Buffer.from(JSON.stringify(position)).toString('base64url'),
    decode: (text) => {
      try {
        const json = Buffer.from(text, 'base64url').toString('utf8');
        const position: unknown = JSON.parse(json);
        // The rule for texts of a request does not see through the encoding.
        const refusal = refusalOfJson(position, json);
        if (refusal !== undefined) throw refusal;
        return schema.parse(position);
      } catch (cause) {
        const detail = 'query.cursor: not a cursor of this list';
        throw new DomainError('INVALID_REQUEST', 'invalid', detail, undefined, { cause });
      }
    },
  };
}
