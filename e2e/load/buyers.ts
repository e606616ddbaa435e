import { setTimeout as wait } from 'node:timers/promises';
import { Gate } from './gate.js';
import type { Measures } from './measures.js';
import type { AcceptedOrder, OrderSeen } from './orders.js';
import { callWithRetries, type Answer, type ShopClient } from './shop-client.js';

/** Calls of buyers who have their order, at once: they must not drown those who still want one. */
const FOLLOWERS = 16;
const MAX_RETRIES = 8;
const MAX_RETRY_WAIT_MS = 5_000;
/** Buyers look again after this, then ever more rarely. */
const FIRST_LOOK_MS = 300;
const LOOK_FACTOR = 1.6;
const MAX_LOOK_MS = 3_000;

export type Sale = {
  shop: ShopClient;
  sign: (buyerId: string) => string;
  ticketTypeId: string;
  /** Makes buyers and idempotency keys of this run different from those of any other. */
  runId: string;
  random: () => number;
  measures: Measures;
  /** Nothing is waited for beyond this; what is not done then counts as it is. */
  deadlineMs: number;
};

/** The buyers of one sale: each asks once, in earnest, and follows the order that comes of it. */
export class Buyers {
  readonly orders: AcceptedOrder[] = [];
  private readonly gate = new Gate(FOLLOWERS);

  constructor(private readonly sale: Sale) {}

  /** One buyer from the order to the ticket. Never rejects. */
  async buy(buyer: number, dueAtMs: number, pays: boolean): Promise<void> {
    const order = await this.placeOrder(buyer, dueAtMs);
    if (order === undefined) return;
    this.orders.push(order);
    await this.until(order, ({ status }) => status !== 'QUEUED');
    if (pays && order.seen?.status === 'PENDING_PAYMENT' && (await this.pay(order))) {
      await this.until(order, ({ status }) => status !== 'PENDING_PAYMENT');
    }
  }

  /** Asks for the order's state once more; for the count at the end. */
  async lookAgain(order: AcceptedOrder): Promise<void> {
    const answer = await this.retrying(() => this.get(order));
    order.seen = answer.status === 200 ? (answer.body as OrderSeen) : undefined;
  }

  private async placeOrder(buyer: number, dueAtMs: number): Promise<AcceptedOrder | undefined> {
    const { shop, sign, ticketTypeId, runId, measures, random } = this.sale;
    const buyerId = `load-${runId}-${buyer}`;
    const token = sign(buyerId);
    let askedAtMs = dueAtMs;
    const answer = await callWithRetries(
      () => {
        askedAtMs = now();
        return shop.call('/api/orders', {
          method: 'POST',
          token,
          idempotencyKey: `${runId}-${buyer}`,
          body: { ticketTypeId, quantity: 1 },
        });
      },
      {
        maxRetries: MAX_RETRIES,
        maxWaitMs: MAX_RETRY_WAIT_MS,
        random,
        onRetry: () => (measures.retries += 1),
      },
    );
    const said = answer.status === 202 ? '202' : (answer.code ?? String(answer.status));
    measures.answered(said, { dueAtMs, askedAtMs, answeredAtMs: now() });
    const orderNo = answer.body?.['orderNo'];
    if (answer.status !== 202 || typeof orderNo !== 'string') return undefined;
    return { orderNo, buyerId, dueAtMs, checkedOut: false, seen: undefined };
  }

  private async until(order: AcceptedOrder, done: (seen: OrderSeen) => boolean): Promise<void> {
    for (let lookMs = FIRST_LOOK_MS; now() < this.sale.deadlineMs; lookMs *= LOOK_FACTOR) {
      await wait(Math.min(lookMs, MAX_LOOK_MS) * (0.75 + this.sale.random() / 2));
      const answer = await this.gate.pass(() => this.get(order));
      if (answer.status !== 200) continue;
      order.seen = answer.body as OrderSeen;
      if (done(order.seen)) return;
    }
  }

  /** True when the checkout took the money. */
  private async pay(order: AcceptedOrder): Promise<boolean> {
    const { shop, measures } = this.sale;
    const token = this.sale.sign(order.buyerId);
    const payment = await this.retrying(() =>
      shop.call(`/api/orders/${order.orderNo}/payments`, { method: 'POST', token }),
    );
    const checkoutUrl = payment.body?.['checkoutUrl'];
    if (payment.status !== 201 || typeof checkoutUrl !== 'string') return false;
    const checkout = await this.retrying(() => {
      measures.checkedOut(now());
      return shop.call(checkoutUrl, { method: 'POST', body: { outcome: 'succeed' } });
    });
    order.checkedOut = checkout.status === 202;
    return order.checkedOut;
  }

  private get({ orderNo, buyerId }: AcceptedOrder): Promise<Answer> {
    return this.sale.shop.call(`/api/orders/${orderNo}`, { method: 'GET', token: this.sale.sign(buyerId) });
  }

  private retrying(call: () => Promise<Answer>): Promise<Answer> {
    return callWithRetries(() => this.gate.pass(call), {
      maxRetries: MAX_RETRIES,
      maxWaitMs: MAX_RETRY_WAIT_MS,
      random: this.sale.random,
    });
  }
}

/** Epoch milliseconds with a fraction, from the clock that does not jump. */
export const now = (): number => performance.timeOrigin + performance.now();
