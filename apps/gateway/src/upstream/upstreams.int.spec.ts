import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { GatewayUnderTest } from '../testing/gateway-under-test.js';
import { StubService } from '../testing/stub-service.js';

const TIMEOUT_MS = 700;

let gateway: GatewayUnderTest;
beforeAll(async () => {
  gateway = await GatewayUnderTest.start({ UPSTREAM_TIMEOUT_MS: String(TIMEOUT_MS) });
}, 30_000);
afterAll(() => gateway?.stop());
beforeEach(() => {
  gateway.upstream.answer = () => 'silent';
  gateway.upstream.requests.length = 0;
});

const orderNo = '0123456789-0123456789abcdef';
const unavailable = { status: 503, body: { code: 'SERVICE_UNAVAILABLE' } };

async function until(reached: () => boolean): Promise<void> {
  const deadlineMs = Date.now() + 15_000;
  while (!reached()) {
    if (Date.now() > deadlineMs) throw new Error('not reached within 15 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('a service that hangs', () => {
  test.each([
    ['GET', `/api/orders/${orderNo}`],
    ['GET', `/api/orders/${orderNo}/events`],
    ['POST', `/api/orders/${orderNo}/payments`],
    ['GET', '/api/shows'],
    ['POST', `/api/orders/${orderNo}/cancel`],
  ])('%s %s is refused within the deadline, with the time to come back', async (method, path) => {
    // What is behind never answers: that this ends is the deadline's doing.
    const answer = await gateway.call(method, path, { as: 'buyer' });
    expect(answer).toMatchObject(unavailable);
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(gateway.upstream.requests).toHaveLength(1);
  });

  test('keeps nobody for longer than the deadline, however many wait', async () => {
    const answers = await Promise.all(
      Array.from({ length: 300 }, () => gateway.call('GET', `/api/orders/${orderNo}`, { as: 'buyer' })),
    );
    for (const answer of answers) expect(answer).toMatchObject(unavailable);
    // Were the wait for a connection no part of it, every one would have had its turn, one deadline after the other.
    expect(gateway.upstream.requests.length).toBeLessThan(300);

    gateway.upstream.answer = () => ({ status: 200, json: [] });
    expect((await gateway.call('GET', '/api/shows')).status).toBe(200);
  });

  test('is not asked any more for callers who have left, waiting in the queue or not', async () => {
    const patient = await GatewayUnderTest.start({ UPSTREAM_TIMEOUT_MS: '60000' });
    const { upstream } = patient;
    upstream.answer = () => 'silent';
    const abort = new AbortController();
    const left = Array.from({ length: 100 }, () =>
      fetch(`${patient.service.url}/api/shows`, { signal: abort.signal }).catch(() => 'left'),
    );
    await until(() => upstream.requests.length === 64);
    abort.abort();
    expect(new Set(await Promise.all(left))).toEqual(new Set(['left']));
    await until(() => upstream.cutOff === 64);
    expect(upstream.requests).toHaveLength(64);
    await patient.stop();
  }, 30_000);
});

test.each([500, 503])(
  'a service that answers %i cannot answer right now, and its words stay inside',
  async (status) => {
    gateway.upstream.answer = () => ({ status, json: { code: 'INTERNAL_ERROR', detail: 'in table orders' } });
    const answer = await gateway.call('GET', `/api/orders/${orderNo}`, { as: 'buyer' });
    expect(answer).toMatchObject(unavailable);
    expect(JSON.stringify(answer.body)).not.toContain('table');
  },
);

describe('readiness', () => {
  test('comes when every service behind has been ready once, and does not go with one of them', async () => {
    const late = await StubService.start();
    late.answer = () => ({ status: 503, json: {} });
    const another = await GatewayUnderTest.start({ OPS_URL: late.url });
    another.upstream.answer = () => ({ status: 200, json: {} });
    try {
      const before = await another.call('GET', '/health/ready');
      expect(before).toMatchObject({ status: 503, body: { code: 'NOT_READY' } });
      expect(before.body['detail']).toContain('services: not heard of yet: ops');
      late.answer = () => ({ status: 200, json: {} });
      expect((await another.call('GET', '/health/ready')).status).toBe(200);
      late.answer = () => ({ status: 503, json: {} });
      expect((await another.call('GET', '/health/ready')).status).toBe(200);
    } finally {
      await another.stop();
      await late.stop();
    }
  }, 30_000);
});
