import { randomFillSync } from 'node:crypto';
import { AsyncLocalStorage } from 'node:async_hooks';
import { Header, type StoredMessage } from './message.js';

type Running = { traceparent: string; byKey?: ReadonlyMap<string, string> };
const running = new AsyncLocalStorage<Running>();

/**
 * The `traceparent` of whatever runs: an HTTP request, a message, a job. Whoever starts such work
 * enters it; `MessageBus` reads it, so that a purchase keeps one trace id from the buyer's request to the
 * last notification.
 */
export const traceContext = {
  run<T>(traceparent: string, work: () => T): T {
    return running.run({ traceparent }, work);
  },

  /**
   * A batch has as many traces as messages. What its handler sends continues the trace of the message
   * with the same key, because that is the one it was caused by; all else (log lines, messages under
   * other keys) belongs to the first message's trace.
   */
  runBatch<T>(messages: readonly Pick<StoredMessage, 'key' | 'headers'>[], work: () => T): T {
    const byKey = new Map<string, string>();
    for (const { key, headers } of messages) {
      const traceparent = headers[Header.traceparent];
      if (key !== undefined && traceparent !== undefined) byKey.set(key, traceparent);
    }
    const traceparent = childTraceparent(messages[0]?.headers[Header.traceparent]);
    return running.run({ traceparent, byKey }, work);
  },

  /** What runs now, if it is being traced. */
  current(): string | undefined {
    return running.getStore()?.traceparent;
  },

  /** The trace that a message under this key continues. */
  causeOf(key: string): string | undefined {
    const store = running.getStore();
    return store?.byKey?.get(key) ?? store?.traceparent;
  },
};

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
