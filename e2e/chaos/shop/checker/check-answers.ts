import type { Facts } from './facts.js';
import type { BuyerEvent, SaleHistory, Struck } from './history.js';
import type { Report } from './violation.js';

/** What each call may be answered with when it is refused for good. */
const CODES: Readonly<Record<BuyerEvent['kind'], readonly string[]>> = {
  order: ['SOLD_OUT', 'LIMIT_EXCEEDED', 'HOLD_EXPIRED', 'SALE_NOT_OPEN', 'IDEMPOTENCY_KEY_REUSED'],
  // 404 is a violation of its own.
  read: ['ORDER_NOT_FOUND'],
  pay: ['ORDER_NOT_PAYABLE', 'ORDER_NOT_FOUND'],
  checkout: [],
  cancel: ['ORDER_NOT_CANCELLABLE', 'ORDER_NOT_FOUND'],
};
const BUSY = new Set([429, 503]);
/** The gateway's own deadline for what is behind it, and a second for the machine. */
export const ANSWER_WITHIN_MS = 12_000;
/** A struck gateway has what came in meanwhile to work off. */
const AFTERMATH_MS = 3_000;
/** Who waits on a half-open connection gives up after this; others may wait for that connection. */
const STRANDED_MS = 40_000;

/** That there was an answer, and that it is one of the API's. */
export function checkAnswers({ events, struck }: SaleHistory, report: Report): void {
  const atTheGateway = struck.filter(({ victim }) => /^(process:gateway|link:buyers-gateway)$/.test(victim));
  for (const event of events) {
    const { answer, kind, buyer, askedAtMs, answeredAtMs } = event;
    const { status, code } = answer;
    const what = `${kind} of ${buyer}: ${status} ${code ?? ''} after ${Math.round(answeredAtMs - askedAtMs)} ms`;
    if (status === 0) {
      if (!atTheGateway.some((strike) => overlaps(strike, event))) report('unanswered', what);
      continue;
    }
    const isLate = answeredAtMs - askedAtMs > ANSWER_WITHIN_MS;
    if (isLate && !atTheGateway.some((strike) => overlaps(strike, event))) report('unanswered', what);
    if (status < 300) continue;
    if (BUSY.has(status)) {
      if (answer.hasRetryAfter !== true) report('wrong-answer', `${what}, without Retry-After`);
    } else if (status >= 500 || !CODES[kind].includes(code ?? '')) report('wrong-answer', what);
  }
}

const overlaps = ({ how, fromMs, untilMs }: Struck, { askedAtMs, answeredAtMs }: BuyerEvent): boolean =>
  fromMs <= answeredAtMs && untilMs + (how === 'strand' ? STRANDED_MS : AFTERMATH_MS) >= askedAtMs;

/** A store whose disk is full may end, and end again for as long as it is. */
const FULL_DISK_AFTERMATH_MS = 15_000;

export function checkEnds({ ends, struck }: SaleHistory, report: Report): void {
  for (const { process, how, atMs } of ends) {
    const isFull = struck.some(
      ({ victim, fromMs, untilMs }) =>
        victim === `disk:${process}` && fromMs <= atMs && untilMs + FULL_DISK_AFTERMATH_MS >= atMs,
    );
    if (!isFull) report('unexpected-end', how);
  }
}

/** Whoever came to the end of an order has a mail about it; each thing is said in one mail, of which there may be copies. */
export function checkMails({ books, orders }: Facts, report: Report): void {
  const mails = new Map<string, Map<string, Set<string>>>();
  for (const { subject, messageId } of books.mails) {
    const orderNo = /\b[0-9a-hjkmnp-tv-z]{10}-[0-9a-hjkmnp-tv-z]{16}\b/.exec(subject)?.[0];
    if (orderNo === undefined) continue;
    const subjects = mails.get(orderNo) ?? new Map<string, Set<string>>();
    mails.set(orderNo, subjects);
    subjects.set(subject, (subjects.get(subject) ?? new Set()).add(messageId));
  }
  for (const { orderNo, status } of orders.values())
    if (!mails.has(orderNo)) report('not-told', `${orderNo}: ${status}`);
  for (const [orderNo, subjects] of mails)
    for (const [subject, ids] of subjects)
      if (ids.size > 1) report('told-twice', `${orderNo}: ${ids.size} mails “${subject}”`);
}
