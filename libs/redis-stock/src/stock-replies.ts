import { ticketTypeOf } from '#libs/contracts';
import type {
  ClaimAnswer,
  HoldState,
  HoldView,
  StockAudit,
  MarkSoldAnswer,
  ReacquireAnswer,
  ReleaseAnswer,
  ReserveAnswer,
  ReserveRefusal,
  StockCounters,
  StoredHold,
} from './stock-values.js';

// Where the scripts' return codes get their names. The headers in lua/ say what each means.

type Codes<Name> = Readonly<Record<number, Name>>;

const REFUSALS: Codes<ReserveRefusal> = {
  [-1]: 'not-ready',
  [-2]: 'sold-out',
  [-3]: 'limit-exceeded',
  [-4]: 'sale-not-open',
  [-6]: 'sale-over',
};
export const CLAIM_ANSWERS: Codes<ClaimAnswer> = { 1: 'claimed', 2: 'already-claimed', 3: 'gone' };
export const MARK_SOLD_ANSWERS: Codes<MarkSoldAnswer> = {
  1: 'marked',
  2: 'already-sold',
  3: 'released',
  4: 'adopted',
};
export const RELEASE_ANSWERS: Codes<ReleaseAnswer> = {
  1: 'released',
  2: 'already-released',
  3: 'kept',
  4: 'unknown',
};
export const REACQUIRE_ANSWERS: Codes<ReacquireAnswer> = {
  1: 'reacquired',
  2: 'not-enough',
  3: 'not-released-yet',
  4: 'gone',
  5: 'sale-over',
};
const STATES: Readonly<Record<string, HoldState>> = {
  h: 'held',
  c: 'claimed',
  s: 'sold',
  a: 'reacquired',
  r: 'released',
};

/** @throws {Error} when a script answers what its header does not say: script and caller are of different versions. */
export function named<Name>(codes: Codes<Name>, code: number): Name {
  const name = codes[code];
  if (name === undefined) throw new Error(`a stock script answered ${code}`);
  return name;
}

function stateOf(letter: string): HoldState {
  const state = STATES[letter];
  if (state === undefined) throw new Error(`a hold is in state ${letter}`);
  return state;
}

export function reserveAnswerOf(reply: readonly (number | string)[]): ReserveAnswer {
  const [code, position, letter, price, currency, orderNo, saleClosesAt] = reply;
  if (code !== 1 && code !== 2) return { outcome: named(REFUSALS, Number(code)) };
  return {
    outcome: code === 1 ? 'reserved' : 'replayed',
    orderNo: String(orderNo),
    position: Number(position),
    state: stateOf(String(letter)),
    unitPriceMinor: Number(price),
    currency: String(currency),
    saleClosesAtMs: Number(saleClosesAt),
  };
}

export function countersOf(fields: Readonly<Record<string, string>>): StockCounters | undefined {
  if (fields['free'] === undefined) return undefined;
  return {
    initial: Number(fields['initial']),
    free: Number(fields['free']),
    held: Number(fields['held']),
    sold: Number(fields['sold']),
    accepted: Number(fields['accepted']),
    settled: Number(fields['settled']),
    unitPriceMinor: Number(fields['price']),
    currency: fields['currency'] ?? '',
    perUserLimit: Number(fields['limit']),
    saleOpensAtMs: Number(fields['opensAt']),
    saleClosesAtMs: Number(fields['closesAt']),
    epoch: fields['epoch'] ?? '',
  };
}

/** `hold` as lua/hold.lua draws it. */
export function storedHoldOf(orderNo: string, hold: string): StoredHold {
  const [letter = '', quantity, heldAt, due, , , ...buyer] = hold.split('|');
  return {
    orderNo,
    quantity: Number(quantity),
    buyerId: buyer.join('|'),
    state: stateOf(letter),
    heldAtMs: Number(heldAt),
    dueMs: Number(due),
  };
}

/** `hold` as lua/hold.lua draws it; `counter` is settled, price and currency. */
export function holdViewOf(
  orderNo: string,
  hold: string | null,
  counter: readonly (string | null)[],
): HoldView | undefined {
  if (hold === null) return undefined;
  const [letter = '', quantity, heldAt, due, seq, , ...buyer] = hold.split('|');
  const [settled, price, currency] = counter;
  return {
    orderNo,
    ticketTypeId: ticketTypeOf(orderNo),
    state: stateOf(letter),
    quantity: Number(quantity),
    buyerId: buyer.join('|'),
    heldAtMs: Number(heldAt),
    expiresAtMs: letter === 'h' ? Number(due) : undefined,
    position: letter === 'h' ? Math.max(1, Number(seq) - Number(settled)) : 0,
    unitPriceMinor: Number(price),
    currency: currency ?? '',
  };
}

export function sumsOf(reply: readonly string[]): {
  initial: number;
  free: number;
  held: number;
  sold: number;
} {
  const [initial, free, held, sold] = reply.map(Number);
  if (initial === undefined || free === undefined || held === undefined || sold === undefined) {
    throw new Error(`a stock script answered ${JSON.stringify(reply)} for counters`);
  }
  return { initial, free, held, sold };
}

export function auditOf(reply: readonly string[]): StockAudit | undefined {
  if (reply.length === 0) return undefined;
  const [held, sold, charged] = reply.slice(4);
  return {
    ...sumsOf(reply),
    holds: held ? { held: Number(held), sold: Number(sold), charged: Number(charged) } : undefined,
  };
}
