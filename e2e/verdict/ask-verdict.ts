import { setTimeout as wait } from 'node:timers/promises';
import { MAX_ACCEPTED_ORDERS } from '#libs/contracts';
import { Refusal } from './shop-access.js';

export type Verdict = {
  ok: boolean;
  checks: {
    name: string;
    ok: boolean;
    detail: string;
    /** Of a check that does not hold, for programs. */
    findings?: { rule: string; count: number; examples: string[] }[];
  }[];
};

/** One verdict reads every order; a busy shop with hundreds of thousands of them needs a while. */
const ANSWER_WITHIN_MS = 180_000;
const POLL_MS = 1_000;
const MAX_EXAMPLES = 20;

export type VerdictQuestion = {
  url: string;
  /** Of an admin. */
  token: string;
  /** `<ticketTypeId>:<tickets>[:<last sold-out answer, epoch ms>]` */
  demand?: string | undefined;
  /** Order numbers that callers were told with 202. The shop's log knows what it sent; they know what they were told. */
  accepted?: readonly string[] | undefined;
};

/** @throws {Refusal} when no shop answers, or not with a verdict. */
export async function askVerdict({ demand, accepted, ...shop }: VerdictQuestion): Promise<Verdict> {
  const query = demand === undefined ? '' : `?demand=${encodeURIComponent(demand)}`;
  const verdict = await call<Verdict>(shop, `/api/ops/verdict${query}`);
  if (accepted === undefined) return verdict;
  const missing: string[] = [];
  for (let first = 0; first < accepted.length; first += MAX_ACCEPTED_ORDERS) {
    const orderNos = accepted.slice(first, first + MAX_ACCEPTED_ORDERS);
    const answer = await call<{ missing: string[] }>(shop, '/api/ops/verdict/accepted', { orderNos });
    missing.push(...answer.missing);
  }
  return withAccepted(verdict, accepted.length, missing);
}

/** The verdict, with what callers were told held against the orders' rows. */
export function withAccepted(verdict: Verdict, accepted: number, missing: readonly string[]): Verdict {
  const checks = verdict.checks.map((check) => {
    if (check.name !== 'no-lost-order') return check;
    if (missing.length === 0) {
      return { ...check, detail: `${check.detail}; ${accepted} told 202, each with a row` };
    }
    const told = `${missing.length} of ${accepted} orders told 202 without an order row (${missing.slice(0, 3).join(', ')})`;
    const finding = {
      rule: 'told-without-row',
      count: missing.length,
      examples: missing.slice(0, MAX_EXAMPLES),
    };
    return {
      ...check,
      ok: false,
      detail: check.ok ? told : `${check.detail}; ${told}`,
      findings: [...(check.findings ?? []), finding],
    };
  });
  return { ok: checks.every(({ ok }) => ok), checks };
}

async function call<Body>(
  { url, token }: Pick<VerdictQuestion, 'url' | 'token'>,
  path: string,
  body?: object,
): Promise<Body> {
  let response: Response;
  try {
    response = await fetch(`${url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
  } catch (error) {
    throw new Refusal(`no shop answers at ${url} (${reasonOf(error)}); start one with: npm run shop`);
  }
  const text = await response.text();
  if (response.status !== 200) {
    throw new Refusal(`${url} answered the verdict with ${response.status}: ${text.slice(0, 300)}`);
  }
  return JSON.parse(text) as Body;
}

/**
 * Asks until the verdict holds or the time is up; the last answer. A failure that is gone a second later was
 * work under way.
 */
export async function awaitVerdict(question: VerdictQuestion, waitMs: number): Promise<Verdict> {
  const deadline = Date.now() + waitMs;
  for (;;) {
    // Ops may be restarting; only at the end is that an answer.
    const verdict = await askVerdict(question).catch((error: unknown) => {
      if (Date.now() + POLL_MS >= deadline) throw error;
      return undefined;
    });
    if (verdict !== undefined && (verdict.ok || Date.now() + POLL_MS >= deadline)) return verdict;
    await wait(POLL_MS);
  }
}

/** One line per check, for a terminal. */
export function verdictTable({ ok, checks }: Verdict): string {
  const width = Math.max(...checks.map(({ name }) => name.length), 0);
  const lines = checks.map(
    (check) => `  ${check.ok ? 'ok  ' : 'FAIL'}  ${check.name.padEnd(width)}  ${check.detail}`,
  );
  return [...lines, `verdict: ${ok ? 'holds' : 'DOES NOT HOLD'}`].join('\n');
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error) return 'code' in cause ? String(cause.code) : cause.message;
  return String(cause);
}
