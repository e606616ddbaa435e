/** Times that travel in a message's body, on the clock that all processes of a machine share. */

/** CLOCK_MONOTONIC, the same for every process. */
export const nowNs = (): bigint => process.hrtime.bigint();

const DIGITS = 20;

/** A body of `bytes` that says when the message was due and when it was really sent. */
export function stamp(dueNs: bigint, sentNs: bigint, bytes: number): string {
  return `${String(dueNs).padStart(DIGITS, '0')}${String(sentNs).padStart(DIGITS, '0')}`.padEnd(bytes, 'x');
}

/** Microseconds since the message was due, and since it was sent. */
export function agesOf(body: string | Uint8Array): { sinceDueMicros: number; sinceSentMicros: number } {
  const now = nowNs();
  const text =
    typeof body === 'string'
      ? body
      : Buffer.from(body.buffer, body.byteOffset, 2 * DIGITS).latin1Slice(0, 2 * DIGITS);
  const since = (from: number): number => Number(now - BigInt(text.slice(from, from + DIGITS))) / 1000;
  return { sinceDueMicros: since(0), sinceSentMicros: since(DIGITS) };
}
