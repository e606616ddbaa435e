import { z } from 'zod';
import { OrderNo } from '#libs/contracts';
import { DomainError } from '#libs/messaging';

/** Where a page ends: the position of its last order in the list. Opaque to the client. */
export type PageCursor = { createdAtMs: number; orderNo: string };

const Cursor = z.tuple([z.int().nonnegative().max(8_640_000_000_000_000), OrderNo]);

export const encodeCursor = ({ createdAtMs, orderNo }: PageCursor): string =>
  Buffer.from(JSON.stringify([createdAtMs, orderNo])).toString('base64url');

/** @throws {DomainError} `INVALID_REQUEST` when it is not a cursor that we made. */
export function decodeCursor(text: string): PageCursor {
  try {
    const [createdAtMs, orderNo] = Cursor.parse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')));
    return { createdAtMs, orderNo };
  } catch (error) {
    throw new DomainError(
      'INVALID_REQUEST',
      'invalid',
      'query.cursor: not a cursor of this list',
      undefined,
      {
        cause: error,
      },
    );
  }
}
