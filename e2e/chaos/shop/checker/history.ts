/**
 * What a sale leaves behind: what every buyer asked and was answered, what was done to the shop meanwhile, and
 * what stood in the books when all was quiet. The checker knows nothing else.
 *
 * An answer with status 0 is none: refused, reset, or not there in time. Whatever was asked may have been done.
 */
import type { Verdict } from '../../../verdict/ask-verdict.js';

export type Answer = {
  /** HTTP status; 0 for no answer. */
  status: number;
  /** The problem's code, when it is a problem. */
  code?: string;
  /** Whether it says when to ask again. */
  hasRetryAfter?: boolean;
};

/** Times are milliseconds of one clock that nobody sets. An event stands for one call, with its answer. */
export type BuyerEvent = { buyer: string; askedAtMs: number; answeredAtMs: number; answer: Answer } & (
  | { kind: 'order'; key: string; ticketTypeId: string; quantity: number; orderNo?: string }
  /** `history`: the states that were told, oldest first. */
  | { kind: 'read'; orderNo: string; history?: readonly string[] }
  | { kind: 'pay'; orderNo: string; paymentId?: string }
  | { kind: 'checkout'; orderNo: string; paymentId: string; outcome: 'succeed' | 'fail' }
  | { kind: 'cancel'; orderNo: string }
);
export type EventOf<Kind extends BuyerEvent['kind']> = Extract<BuyerEvent, { kind: Kind }>;

/** From when to when something was not as it should be: a process, a link, a disk or a clock. */
export type Struck = { victim: string; how: string; fromMs: number; untilMs: number; stepMs?: number };

/** `how`: the launcher's words. */
export type ProcessEnd = { process: string; how: string; atMs: number };

export type OrderRow = {
  orderNo: string;
  buyer: string;
  ticketTypeId: string;
  quantity: number;
  totalMinor: number;
  status: string;
  paymentId: string | null;
  history: readonly { status: string; reason?: string | undefined }[];
};
export type IntentRow = {
  /** The shop's payment id. */
  paymentId: string;
  orderNo: string;
  amountMinor: number;
  /** What the provider did: OPEN, CAPTURED, DECLINED or REFUNDED. */
  status: string;
};
export type HoldRow = {
  orderNo: string;
  ticketTypeId: string;
  buyer: string;
  state: string;
  quantity: number;
};
export type MailRow = { messageId: string; subject: string };
export type TicketType = { ticketTypeId: string; quantity: number; perUserLimit: number };

/** All stores, past all proxies, once nothing moves any more. */
export type Books = {
  ticketTypes: readonly TicketType[];
  orders: readonly OrderRow[];
  intents: readonly IntentRow[];
  /** Of Redis; `held`, `claimed`, `sold` and `reacquired` keep tickets from others, `released` does not. */
  holds: readonly HoldRow[];
  mails: readonly MailRow[];
  verdict: Verdict;
  deadLetters: readonly { group: string; count: number }[];
};

export type SaleHistory = {
  events: readonly BuyerEvent[];
  struck: readonly Struck[];
  books: Books;
  /** Processes that were not ready again long after everything was healed. */
  notReady: readonly string[];
  /** Ends that no signal of ours has caused. */
  ends: readonly ProcessEnd[];
};
