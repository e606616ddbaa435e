import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import type {
  MissingOrders,
  OrderStatus,
  OrderView,
  PaymentResponse,
  ShowView,
  Verdict,
} from '#libs/contracts';
import { nextPage } from './next-page.js';

const POLL_EVERY_MS = 50;

export type Answer<Body> = { status: number; body: Body; headers: Headers };
export type Problem = {
  type: string;
  title: string;
  status: number;
  code: string;
  detail: string;
  correlationId: string;
};
/** A success or a problem, told apart by the HTTP status. */
export type OrProblem<Body> = Body & Omit<Problem, 'status'>;
export type Accepted = { orderNo: string; status: string; queuePosition: number };

/** Speaks to the shop as its users do: over HTTP, with tokens it signs itself. */
export class ShopClient {
  /** Order numbers that this client was told with 202; the verdict is asked about them too. */
  private readonly accepted = new Set<string>();

  constructor(
    readonly baseUrl: string,
    readonly jwtSecret: string,
  ) {}

  token(userId: string, roles: readonly string[] = []): Promise<string> {
    return new SignJWT({ roles: [...roles] })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(userId)
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(new TextEncoder().encode(this.jwtSecret));
  }

  async call<Body>(
    method: string,
    path: string,
    options: {
      as?: string;
      roles?: readonly string[];
      body?: unknown;
      headers?: Record<string, string>;
    } = {},
  ): Promise<Answer<Body>> {
    const headers: Record<string, string> = { ...options.headers };
    if (options.as !== undefined)
      headers['authorization'] = `Bearer ${await this.token(options.as, options.roles)}`;
    if (options.body !== undefined) headers['content-type'] ??= 'application/json';
    const response = await fetch(new URL(path, this.baseUrl), {
      method,
      headers,
      ...(options.body === undefined
        ? {}
        : { body: typeof options.body === 'string' ? options.body : JSON.stringify(options.body) }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return {
      status: response.status,
      body: (isJson ? JSON.parse(text) : text) as Body,
      headers: response.headers,
    };
  }

  admin<Body>(method: string, path: string, body?: unknown): Promise<Answer<Body>> {
    return this.call<Body>(method, path, { as: 'admin', roles: ['admin'], body });
  }

  /** A show with one ticket type on sale now; resolves to the ticket type's id. */
  async sell(
    quantity: number,
    options: { perUserLimit?: number; saleOpensAt?: Date; startsAt?: Date; priceMinor?: number } = {},
  ): Promise<string> {
    const startsAt = (options.startsAt ?? new Date(Date.now() + 86_400_000)).toISOString();
    const { status, body } = await this.admin<ShowView>('POST', '/api/admin/shows', {
      title: `Show ${randomUUID().slice(0, 8)}`,
      venue: 'Test hall',
      startsAt,
      sessions: [
        {
          startsAt,
          ticketTypes: [
            {
              name: 'Standing',
              priceMinor: options.priceMinor ?? 4_950,
              currency: 'EUR',
              quantity,
              perUserLimit: options.perUserLimit ?? 4,
              saleOpensAt: (options.saleOpensAt ?? new Date(Date.now() - 1000)).toISOString(),
            },
          ],
        },
      ],
    });
    const id = body.sessions?.[0]?.ticketTypes[0]?.id;
    if (status !== 201 || id === undefined)
      throw new Error(`show not created: ${status} ${JSON.stringify(body)}`);
    return id;
  }

  async placeOrder(
    buyer: string,
    ticketTypeId: string,
    quantity = 1,
    key: string = randomUUID(),
  ): Promise<Answer<OrProblem<Accepted>>> {
    const answer = await this.call<OrProblem<Accepted>>('POST', '/api/orders', {
      as: buyer,
      body: { ticketTypeId, quantity },
      headers: { 'idempotency-key': key },
    });
    if (answer.status === 202) this.accepted.add(answer.body.orderNo);
    return answer;
  }

  order(buyer: string, orderNo: string): Promise<Answer<OrProblem<OrderView>>> {
    return this.call('GET', `/api/orders/${orderNo}`, { as: buyer });
  }

  /** Waits until the order is in one of the states. */
  async orderIn(
    buyer: string,
    orderNo: string,
    statuses: readonly OrderStatus[],
    withinMs = 30_000,
  ): Promise<OrderView> {
    let last: unknown;
    const order = await eventually(
      async () => {
        const { status, body } = await this.order(buyer, orderNo);
        last = { http: status, ...body };
        return status === 200 && statuses.includes(body.status) ? body : undefined;
      },
      withinMs,
      () => `order ${orderNo} is not ${statuses.join(' or ')} but ${JSON.stringify(last)}`,
    );
    return order;
  }

  /** Places an order and waits until it is written. */
  async buy(buyer: string, ticketTypeId: string, quantity = 1): Promise<OrderView> {
    const { status, body } = await this.placeOrder(buyer, ticketTypeId, quantity);
    if (status !== 202) throw new Error(`order not accepted: ${status} ${JSON.stringify(body)}`);
    return this.orderIn(buyer, body.orderNo, ['PENDING_PAYMENT']);
  }

  startPayment(buyer: string, orderNo: string): Promise<Answer<OrProblem<PaymentResponse>>> {
    return this.call('POST', `/api/orders/${orderNo}/payments`, { as: buyer });
  }

  async checkOut(
    checkoutUrl: string,
    outcome: { outcome: 'succeed' | 'fail'; delayMs?: number; duplicates?: number },
  ): Promise<void> {
    const { status, body } = await this.call('POST', checkoutUrl, { body: outcome });
    if (status !== 202) throw new Error(`checkout refused: ${status} ${JSON.stringify(body)}`);
  }

  /** Pays and resolves once the provider has been told; the order follows. */
  async pay(
    buyer: string,
    orderNo: string,
    outcome: { delayMs?: number; duplicates?: number } = {},
  ): Promise<void> {
    const { status, body } = await this.startPayment(buyer, orderNo);
    if (status !== 201) throw new Error(`payment refused: ${status} ${JSON.stringify(body)}`);
    await this.checkOut(body.checkoutUrl, { outcome: 'succeed', ...outcome });
  }

  /** Undefined when it is on none of the pages. */
  async remaining(ticketTypeId: string): Promise<number | undefined> {
    for (let page: string | undefined = '/api/shows?limit=200'; page !== undefined;) {
      const { body, headers }: Answer<ShowView[]> = await this.call<ShowView[]>('GET', page);
      const found = body
        .flatMap((show) => show.sessions)
        .flatMap((session) => session.ticketTypes)
        .find(({ id }) => id === ticketTypeId);
      if (found !== undefined) return found.remaining;
      page = nextPage(headers.get('link'));
    }
    return undefined;
  }

  /** Waits until every check of the verdict holds. */
  verdictHolds(withinMs = 30_000): Promise<Verdict> {
    let last: unknown;
    return eventually(
      async () => {
        const { status, body } = await this.admin<Verdict>('GET', '/api/ops/verdict');
        last = status === 200 ? body.checks.filter(({ ok }) => !ok) : body;
        if (status !== 200 || !body.ok) return undefined;
        const missing = await this.acceptedWithoutRow();
        last = { missing };
        return missing.length === 0 ? body : undefined;
      },
      withinMs,
      () => `the verdict does not hold: ${JSON.stringify(last)}`,
    );
  }

  private async acceptedWithoutRow(): Promise<string[]> {
    if (this.accepted.size === 0) return [];
    const orderNos = [...this.accepted];
    const { body } = await this.admin<MissingOrders>('POST', '/api/ops/verdict/accepted', { orderNos });
    return body.missing;
  }
}

/** Polls until `read` gives something; a failing call counts as nothing yet. */
export async function eventually<Value>(
  read: () => Promise<Value | undefined>,
  withinMs: number,
  describe: () => string,
): Promise<Value> {
  const deadline = Date.now() + withinMs;
  let failure: unknown;
  for (;;) {
    try {
      const value = await read();
      if (value !== undefined) return value;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    if (Date.now() > deadline) throw new Error(describe(), { cause: failure });
    await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
  }
}

/** Asks as a good client does: again while the shop is busy or away, which a request with a key of its own may be. */
export function insist<Result extends { status: number }>(call: () => Promise<Result>): Promise<Result> {
  let last = '';
  return eventually(
    async () => {
      const answer = await call();
      last = JSON.stringify(answer);
      return answer.status < 500 && answer.status !== 429 ? answer : undefined;
    },
    60_000,
    () => `no final answer: ${last}`,
  );
}
