import { setTimeout as wait } from 'node:timers/promises';
import { Gate } from '../../load/gate.js';
import { type Answer as HttpAnswer, ShopClient } from '../../load/shop-client.js';
import type { Dice } from '../dice.js';
import { isAccepted, isRefusal } from './checker/facts.js';
import type { Answer, BuyerEvent, EventOf } from './checker/history.js';

/** What buyers do with their order, and how many of a hundred. */
const SHARES = {
  pays: 50,
  /** The provider's webhook comes in several copies, the last ones late. */
  'pays-noisily': 10,
  /** The money comes about when the order times out. */
  'pays-late': 5,
  /** The money comes when the order is cancelled. */
  'pays-too-late': 3,
  /** The card is declined, then another one is taken. */
  'is-declined': 7,
  abandons: 9,
  cancels: 6,
  /** Cancels while the checkout is open, and pays there. */
  'cancels-and-pays': 5,
  /** Two tabs: both send the same request at the same time. */
  'asks-twice': 5,
} as const;
export type Behaviour = keyof typeof SHARES;

/** Calls of buyers who have their order, at once: they must not drown those who still want one. */
const FOLLOWERS = 24;
const FIRST_LOOK_MS = 300;
const LOOK_FACTOR = 1.7;
const MAX_LOOK_MS = 4_000;
/** A buyer asks again after this, at least, ever more rarely. */
const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 3_000;
/** Between two looks of one who does nothing else. */
const POLL_PAUSE_MS = 500;

export type Sale = {
  /** As buyers reach it. */
  shop: ShopClient;
  sign: (buyerId: string) => string;
  dice: Dice;
  /** Milliseconds; nobody sets it. */
  clock: () => number;
  paymentTimeoutMs: number;
  /** By the clock: no buyer begins anything after this. */
  deadlineMs: () => number;
};

type Wish = { buyer: string; key: string; ticketTypeId: string; quantity: number };

type Unanswered<Event> = Event extends BuyerEvent
  ? Omit<Event, 'askedAtMs' | 'answeredAtMs' | 'answer'>
  : never;

/** The buyers of a sale; each call of each of them is an event of the history. */
export class Buyers {
  readonly events: BuyerEvent[] = [];
  /** Accepted orders and their buyers. */
  readonly accepted = new Map<string, string>();
  private readonly gate = new Gate(FOLLOWERS);

  constructor(private readonly sale: Sale) {}

  /** One buyer from the request to the end of what they do. Never rejects. */
  async buy(
    buyer: string,
    ticketTypeId: string,
    quantity: number,
    behaviour = this.behaviour(),
  ): Promise<void> {
    const key = `key-of-${buyer}`;
    const tabs = behaviour === 'asks-twice' ? 2 : 1;
    const answers = await Promise.all(
      Array.from({ length: tabs }, () => this.order({ buyer, key, ticketTypeId, quantity })),
    );
    const orderNo = answers.find((orderNo) => orderNo !== undefined);
    if (orderNo === undefined) return;
    const status = await this.until(buyer, orderNo, (state) => state !== 'QUEUED');
    if (status === 'PENDING_PAYMENT') await this.behave(behaviour, buyer, orderNo);
  }

  /** One request to buy, whatever is answered. */
  async askOnce(buyer: string, ticketTypeId: string): Promise<void> {
    await this.ask({ buyer, key: `key-of-${buyer}`, ticketTypeId, quantity: 1 });
  }

  /** So many look at accepted orders, each as soon as it was answered, all at the same time. */
  async poll({ count, fromMs, untilMs }: { count: number; fromMs: number; untilMs: number }): Promise<void> {
    const { clock, dice } = this.sale;
    await wait(Math.max(0, fromMs - clock()));
    const orders = [...this.accepted];
    if (orders.length === 0) return;
    const pollers = new ShopClient(this.sale.shop.url, count);
    await Promise.all(
      Array.from({ length: count }, async () => {
        while (clock() < untilMs) {
          const [orderNo, buyer] = dice.oneOf(orders);
          await this.look(buyer, orderNo, pollers);
          await wait(POLL_PAUSE_MS);
        }
      }),
    );
    await pollers.close();
  }

  /** Asks once more, past everything that breaks; for the end. */
  async lookAgain(shop: ShopClient): Promise<void> {
    await Promise.all(
      [...this.accepted].map(([orderNo, buyer]) =>
        this.insist(
          () => this.read(buyer, orderNo, shop),
          ({ answer }) => answer.status === 200,
        ),
      ),
    );
  }

  private behaviour(): Behaviour {
    let roll = this.sale.dice.random() * 100;
    for (const [behaviour, share] of Object.entries(SHARES)) {
      roll -= share;
      if (roll < 0) return behaviour as Behaviour;
    }
    return 'pays';
  }

  private async behave(behaviour: Behaviour, buyer: string, orderNo: string): Promise<void> {
    switch (behaviour) {
      case 'abandons':
        await this.until(buyer, orderNo, (state) => state !== 'PENDING_PAYMENT');
        return;
      case 'cancels':
        await this.cancel(buyer, orderNo);
        return;
      case 'cancels-and-pays': {
        const checkout = await this.pay(buyer, orderNo);
        await this.cancel(buyer, orderNo);
        if (checkout !== undefined) await this.checkOut(buyer, orderNo, checkout, 'succeed');
        break;
      }
      case 'pays-late': {
        const checkout = await this.pay(buyer, orderNo);
        await wait(this.sale.paymentTimeoutMs * (0.9 + this.sale.dice.random() / 2));
        if (checkout !== undefined) await this.checkOut(buyer, orderNo, checkout, 'succeed');
        break;
      }
      case 'pays-too-late': {
        const checkout = await this.pay(buyer, orderNo);
        await this.until(buyer, orderNo, (state) => state !== 'PENDING_PAYMENT');
        if (checkout !== undefined) await this.checkOut(buyer, orderNo, checkout, 'succeed');
        await this.until(buyer, orderNo, (state) => state !== 'CANCELLED' && state !== 'REFUNDING');
        return;
      }
      case 'is-declined': {
        const first = await this.pay(buyer, orderNo);
        if (first !== undefined) await this.checkOut(buyer, orderNo, first, 'fail');
        await wait(1_000);
        await this.payAndCheckOut(buyer, orderNo, {});
        break;
      }
      case 'pays-noisily':
        await this.payAndCheckOut(buyer, orderNo, { duplicates: 3, delayMs: 500 });
        break;
      default:
        await this.payAndCheckOut(buyer, orderNo, {});
    }
    await this.until(buyer, orderNo, (state) => state !== 'PENDING_PAYMENT' && state !== 'REFUNDING');
  }

  /** The number of the order, once one is accepted. */
  private async order(wish: Wish): Promise<string | undefined> {
    const last = await this.insist(() => this.ask(wish), isSettled);
    if (last === undefined || !isAccepted(last)) return undefined;
    return last.orderNo;
  }

  private async ask(wish: Wish): Promise<EventOf<'order'>> {
    const { buyer, key, ticketTypeId, quantity } = wish;
    const event = await this.record({ kind: 'order', ...wish }, async () => {
      const answer = await this.sale.shop.call('/api/orders', {
        method: 'POST',
        token: this.sale.sign(buyer),
        idempotencyKey: key,
        body: { ticketTypeId, quantity },
      });
      const orderNo = answer.body?.['orderNo'];
      return { answer, seen: typeof orderNo === 'string' ? { orderNo } : {} };
    });
    if (isAccepted(event) && event.orderNo !== undefined) this.accepted.set(event.orderNo, buyer);
    return event;
  }

  private read(buyer: string, orderNo: string, shop = this.sale.shop): Promise<EventOf<'read'>> {
    return this.gate.pass(() => this.look(buyer, orderNo, shop));
  }

  private look(buyer: string, orderNo: string, shop: ShopClient): Promise<EventOf<'read'>> {
    return this.record({ kind: 'read', buyer, orderNo }, async () => {
      const answer = await shop.call(`/api/orders/${orderNo}`, {
        method: 'GET',
        token: this.sale.sign(buyer),
      });
      const told = answer.body?.['history'];
      const history = Array.isArray(told)
        ? (told as { status: string }[]).map(({ status }) => status)
        : undefined;
      return { answer, seen: answer.status === 200 && history !== undefined ? { history } : {} };
    });
  }

  /** Where to pay, when there is something to pay. */
  private async pay(buyer: string, orderNo: string): Promise<{ url: string; paymentId: string } | undefined> {
    let url: unknown;
    const last = await this.insist(
      () =>
        this.record({ kind: 'pay', buyer, orderNo }, async () => {
          const answer = await this.sale.shop.call(`/api/orders/${orderNo}/payments`, {
            method: 'POST',
            token: this.sale.sign(buyer),
          });
          url = answer.body?.['checkoutUrl'];
          const paymentId = answer.body?.['paymentId'];
          return { answer, seen: typeof paymentId === 'string' ? { paymentId } : {} };
        }),
      isSettled,
    );
    if (last?.answer.status !== 201 || last.paymentId === undefined || typeof url !== 'string')
      return undefined;
    // The gateway's public address is not the one by which these buyers come.
    return { url: new URL(url).pathname, paymentId: last.paymentId };
  }

  private async checkOut(
    buyer: string,
    orderNo: string,
    { url, paymentId }: { url: string; paymentId: string },
    outcome: 'succeed' | 'fail',
    noise: { duplicates?: number; delayMs?: number } = {},
  ): Promise<void> {
    await this.insist(
      () =>
        this.record({ kind: 'checkout', buyer, orderNo, paymentId, outcome }, async () => ({
          answer: await this.sale.shop.call(url, { method: 'POST', body: { outcome, ...noise } }),
          seen: {},
        })),
      isSettled,
    );
  }

  private async payAndCheckOut(
    buyer: string,
    orderNo: string,
    noise: { duplicates?: number; delayMs?: number },
  ): Promise<void> {
    const checkout = await this.pay(buyer, orderNo);
    if (checkout !== undefined) await this.checkOut(buyer, orderNo, checkout, 'succeed', noise);
  }

  private async cancel(buyer: string, orderNo: string): Promise<void> {
    await this.insist(
      () =>
        this.record({ kind: 'cancel', buyer, orderNo }, async () => ({
          answer: await this.sale.shop.call(`/api/orders/${orderNo}/cancel`, {
            method: 'POST',
            token: this.sale.sign(buyer),
          }),
          seen: {},
        })),
      isSettled,
    );
  }

  /** Looks until the state is one that is waited for, or the time is over; the last one seen. */
  private async until(
    buyer: string,
    orderNo: string,
    done: (status: string) => boolean,
  ): Promise<string | undefined> {
    let status: string | undefined;
    for (let lookMs = FIRST_LOOK_MS; this.hasTime(); lookMs *= LOOK_FACTOR) {
      await wait(Math.min(lookMs, MAX_LOOK_MS) * (0.75 + this.sale.dice.random() / 2));
      const { history } = await this.read(buyer, orderNo);
      status = history?.at(-1) ?? status;
      if (status !== undefined && done(status)) return status;
    }
    return status;
  }

  /** Asks the same again until there is an answer that is one, or the time is over. */
  private async insist<Event extends BuyerEvent>(
    call: () => Promise<Event>,
    done: (event: Event) => boolean,
  ): Promise<Event | undefined> {
    let last: Event | undefined;
    for (let retryMs = FIRST_RETRY_MS; this.hasTime(); retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)) {
      last = await call();
      if (done(last)) return last;
      await wait(retryMs * (1 + this.sale.dice.random() / 2));
    }
    return last;
  }

  private hasTime(): boolean {
    return this.sale.clock() < this.sale.deadlineMs();
  }

  private async record<Call extends Unanswered<BuyerEvent>, Seen>(
    call: Call,
    ask: () => Promise<{ answer: HttpAnswer; seen: Seen }>,
  ): Promise<Extract<BuyerEvent, { kind: Call['kind'] }>> {
    const askedAtMs = this.sale.clock();
    const { answer, seen } = await ask();
    const event = { ...call, ...seen, askedAtMs, answeredAtMs: this.sale.clock(), answer: told(answer) };
    this.events.push(event);
    return event as unknown as Extract<BuyerEvent, { kind: Call['kind'] }>;
  }
}

/** An answer after which the same request need not be sent again. */
const isSettled = (event: BuyerEvent): boolean =>
  (event.answer.status >= 200 && event.answer.status < 300) || isRefusal(event);

const told = ({ status, code, retryAfterMs }: HttpAnswer): Answer => ({
  status,
  ...(code === undefined || status === 0 ? {} : { code }),
  ...(retryAfterMs === undefined ? {} : { hasRetryAfter: true }),
});
