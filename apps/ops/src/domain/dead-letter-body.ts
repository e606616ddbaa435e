import type { DeadLetterView } from '#libs/contracts';

type ReadableBody = Pick<DeadLetterView, 'bodyEncoding' | 'body'>;

/** A body as an operator wants to see it: JSON, else text, else base64. */
export function readableBody(bytes: Uint8Array): ReadableBody {
  const text = textOf(bytes);
  if (text === undefined) return { bodyEncoding: 'base64', body: Buffer.from(bytes).toString('base64') };
  try {
    return { bodyEncoding: 'json', body: JSON.parse(text) as unknown };
  } catch {
    // Not JSON, which may be the very reason why it is here.
    return { bodyEncoding: 'text', body: text };
  }
}

/** The bytes of what an operator wrote; `readableBody` of them is what was written. */
export function bytesOf({ bodyEncoding, body }: ReadableBody): Buffer<ArrayBuffer> {
  if (bodyEncoding === 'json') return Buffer.from(JSON.stringify(body));
  return Buffer.from(body as string, bodyEncoding === 'base64' ? 'base64' : 'utf8');
}

/** The text when the bytes are UTF-8 without control characters other than white space. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return /[\0-\x08\x0b\x0c\x0e-\x1f]/.test(text) ? undefined : text;
  } catch {
    // Not UTF-8.
    return undefined;
  }
}
