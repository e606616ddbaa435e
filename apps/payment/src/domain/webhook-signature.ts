import { createHmac, timingSafeEqual } from 'node:crypto';

/** How old, or how far ahead, a webhook's timestamp may be. A captured request is worthless after that. */
export const TOLERANCE_SECONDS = 300;

/** Hex HMAC-SHA256 over `<timestamp>.<raw body>`: the timestamp is signed too, or a replay could renew it. */
export function signWebhook(secret: string, timestampSeconds: number, rawBody: Uint8Array | string): string {
  return createHmac('sha256', secret).update(`${timestampSeconds}.`).update(rawBody).digest('hex');
}

/** Whether the body was signed by somebody who knows the secret, within the tolerance. */
export function isSignedWebhook(
  secret: string,
  webhook: { timestamp: string | undefined; signature: string | undefined; rawBody: Uint8Array },
  nowMs: number,
): boolean {
  const { timestamp, signature, rawBody } = webhook;
  if (timestamp === undefined || !/^\d{1,12}$/.test(timestamp)) return false;
  if (signature === undefined || !/^[0-9a-f]{64}$/i.test(signature)) return false;
  const seconds = Number(timestamp);
  if (Math.abs(nowMs / 1000 - seconds) > TOLERANCE_SECONDS) return false;
  const expected = Buffer.from(signWebhook(secret, seconds, rawBody), 'hex');
  // Both are 32 bytes by now. A comparison that stops early would tell a forger how far they got.
  return timingSafeEqual(expected, Buffer.from(signature, 'hex'));
}
