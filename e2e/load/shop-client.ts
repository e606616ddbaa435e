import { setTimeout as wait } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { nextPage } from '../harness/next-page.js';

export type Answer = {
  status: number;
  /** Undefined when there is none, or when it is not JSON. */
  body: Record<string, unknown> | undefined;
  /** The problem's code; for a failed connection, `NETWORK_ERROR`. */
  code: string | undefined;
  retryAfterMs: number | undefined;
  /** Where a list goes on. */
  nextPage: string | undefined;
};

type Call = { method: 'GET' | 'POST'; token?: string; body?: unknown; idempotencyKey?: string };

/** Buyers share these: a socket for each would measure the kernel. */
const CONNECTIONS = 64;
const ANSWER_WITHIN_MS = 30_000;

/** The shop as its buyers reach it: plain HTTP. */
export class ShopClient {
  private readonly agent: Agent;

  constructor(
    readonly url: string,
    connections = CONNECTIONS,
  ) {
    this.agent = new Agent({
      connections,
      pipelining: 1,
      keepAliveTimeout: 30_000,
      headersTimeout: ANSWER_WITHIN_MS,
      bodyTimeout: ANSWER_WITHIN_MS,
    });
  }

  /** Never rejects: a connection that fails is an answer too. `pathOrUrl` may be absolute. */
  async call(pathOrUrl: string, { method, token, body, idempotencyKey }: Call): Promise<Answer> {
    try {
      const response = await request(pathOrUrl.startsWith('/') ? this.url + pathOrUrl : pathOrUrl, {
        dispatcher: this.agent,
        method,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
        },
        body: body === undefined ? null : JSON.stringify(body),
      });
      const parsed = objectFrom(await response.body.text());
      return {
        status: response.statusCode,
        body: parsed,
        code: typeof parsed?.['code'] === 'string' ? parsed['code'] : undefined,
        retryAfterMs: retryAfterMs(response.headers['retry-after']),
        nextPage: nextPage(response.headers.link),
      };
    } catch {
      // Refused, reset or timed out: counted under this name, and retried by whoever may.
      return {
        status: 0,
        body: undefined,
        code: 'NETWORK_ERROR',
        retryAfterMs: undefined,
        nextPage: undefined,
      };
    }
  }

  async close(): Promise<void> {
    await this.agent.destroy();
  }
}

export type RetryPolicy = {
  maxRetries: number;
  maxWaitMs: number;
  random: () => number;
  onRetry?: () => void;
};

/** Whether the shop asked for another try: overloaded, limited, or away. */
const worthAnotherTry = ({ status }: Answer): boolean => status === 0 || status === 429 || status >= 502;

/** Tries again as a well-behaved client does: after `Retry-After`, spread out, a bounded number of times. */
export async function callWithRetries(
  call: () => Promise<Answer>,
  { maxRetries, maxWaitMs, random, onRetry }: RetryPolicy,
): Promise<Answer> {
  for (let retry = 0; ; retry += 1) {
    const answer = await call();
    if (!worthAnotherTry(answer) || retry === maxRetries) return answer;
    onRetry?.();
    const waitMs = answer.retryAfterMs ?? 200 * 2 ** retry;
    await wait(Math.min(waitMs, maxWaitMs) * (1 + random() / 2));
  }
}

/** Seconds; the form with a date is not one that the shop uses. */
function retryAfterMs(header: string | string[] | undefined): number | undefined {
  const seconds = Number(Array.isArray(header) ? header[0] : (header ?? NaN));
  return Number.isFinite(seconds) ? seconds * 1_000 : undefined;
}

function objectFrom(text: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : undefined;
  } catch {
    // Empty, or an error page of something in between.
    return undefined;
  }
}
