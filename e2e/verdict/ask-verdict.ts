import { setTimeout as wait } from 'node:timers/promises';
import { Refusal } from './shop-access.js';

export type Verdict = { ok: boolean; checks: { name: string; ok: boolean; detail: string }[] };

/** One verdict reads every order; a busy shop with hundreds of thousands of them needs a while. */
const ANSWER_WITHIN_MS = 180_000;
const POLL_MS = 1_000;

export type VerdictQuestion = {
  url: string;
  /** Of an admin. */
  token: string;
  /** `<ticketTypeId>:<tickets>[:<last sold-out answer, epoch ms>]` */
  demand?: string | undefined;
};

/** @throws {Refusal} when no shop answers, or not with a verdict. */
export async function askVerdict({ url, token, demand }: VerdictQuestion): Promise<Verdict> {
  const query = demand === undefined ? '' : `?demand=${encodeURIComponent(demand)}`;
  let response: Response;
  try {
    response = await fetch(`${url}/api/ops/verdict${query}`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
  } catch (error) {
    throw new Refusal(`no shop answers at ${url} (${reasonOf(error)}); start one with: npm run shop`);
  }
  const text = await response.text();
  if (response.status !== 200) {
    throw new Refusal(`${url} answered the verdict with ${response.status}: ${text.slice(0, 300)}`);
  }
  return JSON.parse(text) as Verdict;
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
