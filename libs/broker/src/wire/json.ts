/** JSON with binary values: a `Uint8Array` travels as `{"$bytes": "<base64>"}`. For the frames that need not be fast. */
import { MESSAGING_ERRORS, MessagingError } from '#libs/messaging/port';
import type { MessagingErrorCode } from '#libs/messaging/port';

/** `undefined` becomes the empty text, which `fromJson` turns back. */
export function toJson(value: unknown): string {
  if (value === undefined) return '';
  return JSON.stringify(value, function (this: Record<string, unknown>, key, item: unknown) {
    // `item` has gone through Buffer's own toJSON already; the holder still has the original.
    const original = this[key];
    return original instanceof Uint8Array
      ? { $bytes: Buffer.from(original.buffer, original.byteOffset, original.byteLength).toString('base64') }
      : renamed(item, LOOKS_LIKE_BYTES, (name) => `$${name}`);
  });
}

/** @throws {MessagingError} `PROTOCOL_ERROR` when it is not JSON. */
export function fromJson(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text, (_key, item: unknown) =>
      isBytes(item)
        ? Buffer.from(item.$bytes, 'base64')
        : renamed(item, LOOKED_LIKE_BYTES, (name) => name.slice(1)),
    );
  } catch (error) {
    throw new MessagingError('PROTOCOL_ERROR', 'a frame holds broken JSON', { cause: error });
  }
}

const LOOKS_LIKE_BYTES = /^\$+bytes$/;
const LOOKED_LIKE_BYTES = /^\$\$+bytes$/;

/** An application's own name of this kind, of a header say, travels with one more `$`. */
function renamed(item: unknown, which: RegExp, rename: (name: string) => string): unknown {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return item;
  if (!Object.keys(item).some((name) => which.test(name))) return item;
  const entries = Object.entries(item).map(([name, value]): [string, unknown] => [
    which.test(name) ? rename(name) : name,
    value,
  ]);
  return Object.fromEntries(entries);
}

function isBytes(item: unknown): item is { $bytes: string } {
  return typeof item === 'object' && item !== null && '$bytes' in item && typeof item.$bytes === 'string';
}

/** An error as it travels. Whatever is not the messaging layer's own becomes a `PROTOCOL_ERROR` that names it. */
export type WireError = { code: MessagingErrorCode; detail: string; precise?: MessagingErrorCode };

/** What clients know as that did not know the code: they would call it a breach of the protocol. */
const FOR_OLDER_CLIENTS: Partial<Record<MessagingErrorCode, MessagingErrorCode>> = {
  STORAGE_FULL: 'BUFFER_FULL',
};

export function toWireError(error: unknown): WireError {
  if (error instanceof MessagingError) {
    const { code } = error;
    const detail = error.message.slice(code.length + 2);
    const older = FOR_OLDER_CLIENTS[code];
    return older ? { code: older, detail, precise: code } : { code, detail };
  }
  return { code: 'PROTOCOL_ERROR', detail: `the broker failed: ${String(error)}` };
}

const isKnownCode = (code: unknown): code is MessagingErrorCode =>
  typeof code === 'string' && Object.hasOwn(MESSAGING_ERRORS, code);

export function fromWireError(value: unknown): MessagingError {
  if (typeof value === 'object' && value !== null && 'code' in value && 'detail' in value) {
    const { detail } = value;
    const precise = 'precise' in value ? value.precise : undefined;
    const code = [precise, value.code].find(isKnownCode);
    if (code) return new MessagingError(code, String(detail));
  }
  return new MessagingError('PROTOCOL_ERROR', 'the broker answered with an unreadable error');
}
