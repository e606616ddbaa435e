import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { LoadOptions } from './options.js';
import { succeeded } from './report.js';
import { runSale } from './run-sale.js';

const TYPE = 'tt0123456789';

type Faults = {
  /** Every buyer's first try is answered with 503. */
  overloaded?: boolean;
  /** Orders are answered this late. */
  slowMs?: number;
  /** Orders that are accepted and then unknown. */
  forgets?: number;
  /** The verdict's answer. */
  verdict?: boolean;
};

/** A shop of one ticket type that keeps its word, except as it is told. Prices, tokens and stock are its own business. */
class FakeShop {
  readonly orders = new Map<string, { status: string; at: string }[]>();
  readonly keys = new Map<string, number>();
  demand = '';
  private tickets = 0;
  private server: Server | undefined;

  constructor(private readonly faults: Faults) {}

  async open(): Promise<string> {
    this.server = createServer((request, response) => {
      void this.answer(request).then(([status, body, headers]) => {
        response.writeHead(status, { 'content-type': 'application/json', ...headers });
        response.end(body === undefined ? '' : JSON.stringify(body));
      });
    });
    await new Promise<void>((resolve) => this.server?.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server?.closeAllConnections();
    this.server?.close();
  }

  private async answer(request: IncomingMessage): Promise<[number, unknown?, Record<string, string>?]> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const url = new URL(request.url ?? '/', 'http://shop');
    const [, , , orderNo = '', part] = url.pathname.split('/');
    if (url.pathname === '/api/admin/shows') {
      const show = JSON.parse(text) as { sessions: { ticketTypes: { quantity: number }[] }[] };
      this.tickets = show.sessions[0]?.ticketTypes[0]?.quantity ?? 0;
      return [201, this.show()];
    }
    // Behind a page of older ones.
    if (url.pathname === '/api/shows' && !url.searchParams.has('cursor')) {
      return [200, [], { link: '</api/shows?limit=200&cursor=older>; rel="next"' }];
    }
    if (url.pathname === '/api/shows') return [200, [this.show()]];
    if (url.pathname === '/api/ops/verdict') {
      this.demand = url.searchParams.get('demand') ?? '';
      const ok = this.faults.verdict ?? true;
      return [200, { ok, checks: [{ name: 'no-lost-order', ok, detail: 'rows' }] }];
    }
    if (url.pathname === '/api/ops/verdict/accepted') {
      const { orderNos } = JSON.parse(text) as { orderNos: string[] };
      return [200, { missing: orderNos.filter((asked) => !this.orders.has(asked)) }];
    }
    if (url.pathname === '/api/orders') return this.order(String(request.headers['idempotency-key']));
    const history = this.orders.get(orderNo);
    if (history === undefined) return [404, { code: 'ORDER_NOT_FOUND' }];
    if (part === 'payments')
      return [201, { checkoutUrl: `http://${request.headers.host}/api/checkout/${orderNo}` }];
    if (url.pathname.startsWith('/api/checkout/')) {
      history.push({ status: 'PAID', at: new Date().toISOString() });
      return [202];
    }
    return [200, { status: history.at(-1)?.status, history }];
  }

  private async order(key: string): Promise<[number, unknown, Record<string, string>?]> {
    const tries = (this.keys.get(key) ?? 0) + 1;
    this.keys.set(key, tries);
    if (this.faults.overloaded && tries === 1) return [503, { code: 'OVERLOADED' }, { 'retry-after': '0' }];
    await new Promise((resolve) => setTimeout(resolve, this.faults.slowMs ?? 0));
    if (this.tickets === 0) return [409, { code: 'SOLD_OUT' }];
    this.tickets -= 1;
    const orderNo = `order-${this.tickets}`;
    if (this.tickets >= (this.faults.forgets ?? 0)) {
      this.orders.set(orderNo, [{ status: 'PENDING_PAYMENT', at: new Date().toISOString() }]);
    }
    return [202, { orderNo, status: 'QUEUED' }];
  }

  private show(): object {
    return { sessions: [{ ticketTypes: [{ id: TYPE, remaining: this.tickets }] }] };
  }
}

let shop: FakeShop;
afterEach(() => shop.close());

/** @param settleMs how long orders are followed that never end */
async function sell(faults: Faults, options: Partial<LoadOptions> = {}, settleMs = 10_000) {
  shop = new FakeShop(faults);
  const url = await shop.open();
  return runSale(
    { url, secret: 'secret' },
    { buyers: 200, tickets: 20, ratePerSecond: 1_000, payShare: 1, seed: 1, json: undefined, ...options },
    { settleMs, quietMs: 100 },
  );
}

describe('a flash sale', () => {
  it('counts every buyer’s answer, follows the accepted ones until they have paid, and tells the demand', async () => {
    const report = await sell({});
    expect(report).toMatchObject({
      buyers: 200,
      tickets: 20,
      answers: { '202': 20, SOLD_OUT: 180 },
      retries: 0,
      paid: 20,
      orders: { checked: 20, flawed: 0 },
    });
    expect(report.verdict.checks[0]?.detail).toBe('rows; 20 told 202, each with a row');
    expect(report.acceptedPerSecond).toBeGreaterThan(0);
    expect(report.persistedPerSecond).toBeGreaterThan(0);
    expect(report.paidPerSecond).toBeGreaterThan(0);
    expect(shop.demand).toMatch(new RegExp(`^${TYPE}:200:\\d{13}$`));
    expect(succeeded(report)).toBe(true);
    expect(report.machine).toMatchObject({ node: process.version, cores: expect.any(Number) });
    expect(report.commit ?? '').toMatch(/^([0-9a-f]{10}( and what was not committed)?)?$/);
  });

  it('lets only the share pay that it was told', async () => {
    const report = await sell({}, { payShare: 0.5 });
    expect(report.paid).toBeGreaterThan(2);
    expect(report.paid).toBeLessThan(18);
    expect(report.orders.flawed).toBe(0);
  });

  it('comes back with the same key when the shop is overloaded', async () => {
    const report = await sell({ overloaded: true });
    expect(report.retries).toBe(200);
    expect(report.answers).toEqual({ '202': 20, SOLD_OUT: 180 });
    expect(new Set(shop.keys.values())).toEqual(new Set([2]));
  });

  it('counts the time that a slow shop makes buyers wait for a free connection', async () => {
    // 200 buyers at once, 64 connections, 50 ms each: the last ones wait for three others before them.
    const report = await sell({ slowMs: 50 }, { ratePerSecond: 100_000 });
    expect(report.answerLatencyMs.p50).toBeGreaterThanOrEqual(95);
    expect(report.answerLatencyMs.max).toBeGreaterThanOrEqual(190);
  });

  it('fails when the verdict does', async () => {
    expect(succeeded(await sell({ verdict: false }))).toBe(false);
  });

  it('fails when an accepted order is forgotten, and tells the verdict', async () => {
    const report = await sell({ forgets: 1 }, {}, 1_500);
    expect(report.verdict).toEqual({
      ok: false,
      checks: [
        {
          name: 'no-lost-order',
          ok: false,
          detail: '1 of 20 orders told 202 without an order row (order-0)',
          findings: [{ rule: 'told-without-row', count: 1, examples: ['order-0'] }],
        },
      ],
    });
    expect(report.orders).toEqual({
      checked: 20,
      flawed: 1,
      flaws: ['order-0: accepted, but unknown to the shop'],
    });
    expect(succeeded(report)).toBe(false);
  });
});
