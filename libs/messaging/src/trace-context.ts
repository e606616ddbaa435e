import { randomFillSync } from 'node:crypto';
import { AsyncLocalStorage } from 'node:async_hooks';
import { Header, type StoredMessage } from './message.js';

/**
 * The `traceparent` of whatever runs: an HTTP request, a message, a job. Whoever starts such work
 * enters it (`traceContext.run(traceparent, work)`); `MessageBus` reads it, so that a purchase keeps one
 * trace id from the buyer's request to the last notification.
 */
export const traceContext = new AsyncLocalStorage<string>();

export type TraceParent = {
  /** 32 hex digits, the same for everything that one request causes. */
  traceId: string;
  /** 16 hex digits, one step of it. */
  spanId: string;
  /** 2 hex digits; bit 0 says that the trace is being recorded. */
  flags: string;
};

/** `version "-" trace-id "-" parent-id "-" flags`; later versions may append to it. https://www.w3.org/TR/trace-context/#traceparent-header */
const TRACEPARENT =
  /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Undefined when the value is not a valid `traceparent`: the caller then starts a new trace, as the standard says. */
export function parseTraceparent(value: string | undefined): TraceParent | undefined {
  const [, version, traceId, spanId, flags, extension] = TRACEPARENT.exec(value ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  // Version 00 has exactly four fields.
  if (version === '00' && extension !== undefined) return undefined;
  return { traceId, spanId, flags };
}

export function formatTraceparent({ traceId, spanId, flags }: TraceParent): string {
  return `00-${traceId}-${spanId}-${flags}`;
}

/** Random bytes for ids, drawn by the page: a call for every eight bytes would be a tenth of what a request costs. */
const pool = Buffer.alloc(8_192);
let drawn = pool.length;

function randomHex(bytes: number): string {
  if (drawn + bytes > pool.length) {
    randomFillSync(pool);
    drawn = 0;
  }
  drawn += bytes;
  return pool.toString('hex', drawn - bytes, drawn);
}

/** 32 hex digits that nobody has used before. */
export const newTraceId = (): string => randomHex(16);

/** The next step of the trace that `parent` belongs to, or the first step of a new one. */
export function childTraceparent(parent: string | undefined): string {
  const { traceId, flags } = parseTraceparent(parent) ?? {
    traceId: newTraceId(),
    flags: '01',
  };
  return formatTraceparent({ traceId, spanId: randomHex(8), flags });
}

/**
 * Headers that continue the trace of one message. A batch handler needs it, since what it sends may be
 * caused by any message of the batch: `envelope(OrderCreated, order, { headers: traceOf(delivery.message) })`.
 */
export function traceOf(message: Pick<StoredMessage, 'headers'>): Record<string, string> {
  const traceparent = message.headers[Header.traceparent];
  return traceparent === undefined ? {} : { [Header.traceparent]: traceparent };
}
