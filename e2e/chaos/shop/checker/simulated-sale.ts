import type { BuyerEvent, HoldRow, IntentRow, MailRow, OrderRow, SaleHistory } from './history.js';

/** Where an order ends, and the way there. */
const WAYS = {
  paid: ['QUEUED', 'PENDING_PAYMENT', 'PAID'],
  'paid-late': ['QUEUED', 'PENDING_PAYMENT', 'CANCELLED', 'PAID'],
  'timed-out': ['QUEUED', 'PENDING_PAYMENT', 'CANCELLED'],
  cancelled: ['QUEUED', 'PENDING_PAYMENT', 'CANCELLED'],
  'cancelled-and-paid': ['QUEUED', 'PENDING_PAYMENT', 'CANCELLED', 'REFUNDING', 'REFUNDED'],
} as const;
export type Way = keyof typeof WAYS;
export const WAY_NAMES = Object.keys(WAYS) as Way[];

export type Journey = {
  /** What the shop said before it said something: nothing, or to ask again. */
  before: readonly ('unclear' | 'busy')[];
  /** `lost` and `ordered`: never told; the order is not there, or is. */
  last: 'accepted' | 'refused' | 'lost' | 'ordered';
  way: Way;
  /** How many of its states each look sees; looks do not go back. */
  looks: readonly number[];
  /** Copies of the mail about the order. */
  copies: number;
};

const TICKETS = 1_000;
const PRICE_MINOR = 4_900;
const TICKET_TYPE = 'tt0123456789';
const CALL_MS = 10;

/** Everything that a shop which keeps its word may do, one buyer after the other. */
export class SimulatedSale {
  private readonly events: BuyerEvent[] = [];
  private readonly orders: OrderRow[] = [];
  private readonly intents: IntentRow[] = [];
  private readonly holds: HoldRow[] = [];
  private readonly mails: MailRow[] = [];
  private buyers = 0;
  private nowMs = 0;

  buy({ before, last, way, looks, copies }: Journey): void {
    const buyer = `buyer-${(this.buyers += 1)}`;
    const orderNo = `0123456789-${String(this.buyers).padStart(16, '0')}`;
    const order = {
      kind: 'order',
      buyer,
      key: `key-${buyer}`,
      ticketTypeId: TICKET_TYPE,
      quantity: 1,
    } as const;
    for (const answer of before)
      this.call({
        ...order,
        answer: answer === 'busy' ? { status: 503, hasRetryAfter: true } : { status: 0 },
      });
    if (last === 'accepted') this.call({ ...order, orderNo, answer: { status: 202 } });
    else if (last === 'refused') this.call({ ...order, answer: { status: 409, code: 'SOLD_OUT' } });
    else this.call({ ...order, answer: { status: 0 } });
    if (last === 'refused' || last === 'lost') return;
    this.write(buyer, orderNo, way, copies);
    if (last === 'accepted') this.follow(buyer, orderNo, way, looks);
    if (way === 'cancelled' || way === 'cancelled-and-paid')
      this.call({ kind: 'cancel', buyer, orderNo, answer: { status: 202 } });
    if (way === 'timed-out' || way === 'cancelled') return;
    const paymentId = `payment-of-${orderNo}`;
    this.call({ kind: 'pay', buyer, orderNo, paymentId, answer: { status: 201 } });
    this.call({ kind: 'checkout', buyer, orderNo, paymentId, outcome: 'succeed', answer: { status: 202 } });
  }

  history(): SaleHistory {
    const { events, orders, intents, holds, mails } = this;
    return {
      events,
      struck: [{ victim: 'process:gateway', how: 'kill', fromMs: 0, untilMs: Infinity }],
      notReady: [],
      ends: [],
      books: {
        ticketTypes: [{ ticketTypeId: TICKET_TYPE, quantity: TICKETS, perUserLimit: 1 }],
        orders,
        intents,
        holds,
        mails,
        verdict: { ok: true, checks: [{ name: 'quiet', ok: true, detail: '' }] },
        deadLetters: [{ group: 'order.created', count: 0 }],
      },
    };
  }

  private follow(buyer: string, orderNo: string, way: Way, looks: readonly number[]): void {
    let seen = 1;
    for (const look of looks) {
      seen = Math.max(seen, Math.min(look, WAYS[way].length));
      const history = WAYS[way].slice(0, seen);
      this.call({ kind: 'read', buyer, orderNo, history, answer: { status: 200 } });
    }
  }

  private write(buyer: string, orderNo: string, way: Way, copies: number): void {
    const history = WAYS[way].map((status) => ({ status }));
    const status = history.at(-1)?.status ?? '';
    const isPaid = way !== 'timed-out' && way !== 'cancelled';
    const paymentId = isPaid ? `payment-of-${orderNo}` : null;
    this.orders.push({
      ...{ orderNo, buyer, ticketTypeId: TICKET_TYPE, quantity: 1, totalMinor: PRICE_MINOR },
      ...{ status, paymentId, history },
    });
    const state = status === 'PAID' ? 'sold' : 'released';
    this.holds.push({ orderNo, ticketTypeId: TICKET_TYPE, buyer, state, quantity: 1 });
    for (let copy = 0; copy < copies; copy += 1)
      this.mails.push({ messageId: `${orderNo}.${status}`, subject: `Order ${orderNo} is ${status}` });
    if (paymentId === null) return;
    const did = status === 'REFUNDED' ? 'REFUNDED' : 'CAPTURED';
    this.intents.push({ paymentId, orderNo, amountMinor: PRICE_MINOR, status: did });
  }

  private call<Call extends Omit<BuyerEvent, 'askedAtMs' | 'answeredAtMs'>>(call: Call): void {
    this.nowMs += CALL_MS;
    const event = { ...call, askedAtMs: this.nowMs, answeredAtMs: this.nowMs + CALL_MS / 2 };
    this.events.push(event as unknown as BuyerEvent);
  }
}
