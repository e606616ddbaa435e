import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { CodeRequested } from '#libs/contracts';
import { GatewayUnderTest, type Answer } from '../testing/gateway-under-test.js';

const FIRST = 'the secret with which the shop began long ago';
const SECOND = 'the secret of the year after that one';
const THIRD = 'the secret of this year and no other';
const phone = '+491701234567';

/** Its Redis is the shop's; the gateways come and go. */
let shop: GatewayUnderTest;
const gateways: GatewayUnderTest[] = [];
beforeAll(async () => {
  shop = await GatewayUnderTest.start({ JWT_SECRET: FIRST });
}, 30_000);
afterEach(async () => void (await Promise.all(gateways.splice(0).map((gateway) => gateway.stop()))));
afterAll(() => shop?.stop());

async function gatewayWith(secrets: Record<string, string>): Promise<GatewayUnderTest> {
  const gateway = await GatewayUnderTest.start({ REDIS_URL: shop.redisServer.url, ...secrets });
  gateways.push(gateway);
  return gateway;
}

async function signIn(gateway: GatewayUnderTest): Promise<Answer> {
  expect((await gateway.call('POST', '/api/auth/codes', { json: { phone } })).status).toBe(202);
  const code = gateway.broker.sentOf(CodeRequested).at(-1)?.payload.code;
  return gateway.call('POST', '/api/auth/sessions', { json: { phone, code } });
}

const me = (gateway: GatewayUnderTest, session: Answer): Promise<Answer> => {
  gateway.upstream.answer = () => ({ status: 200, json: { orders: [] } });
  const headers = { authorization: `Bearer ${String(session.body['token'])}` };
  return gateway.call('GET', '/api/orders/0123456789-0123456789abcdef', { headers });
};

test('a buyer stays the same one across rotations of JWT_SECRET, and stays signed in while the old one is listed', async () => {
  const before = await signIn(shop);
  for (const secrets of [
    { JWT_SECRET: SECOND, JWT_SECRET_PREVIOUS: FIRST },
    // On the way to the next one, which every service accepts before any signs with it.
    { JWT_SECRET: SECOND, JWT_SECRET_PREVIOUS: `${THIRD},${FIRST}` },
    { JWT_SECRET: THIRD, IDENTITY_SECRET: FIRST },
  ]) {
    const gateway = await gatewayWith(secrets);
    const isListed = 'JWT_SECRET_PREVIOUS' in secrets;
    expect((await me(gateway, before)).status === 401).toBe(!isListed);
    const after = await signIn(gateway);
    expect(after.body['userId']).toBe(before.body['userId']);
    expect((await me(gateway, after)).status).not.toBe(401);
  }
});

test('nobody becomes somebody else when the secret behind the ids is gone: nobody is signed in', async () => {
  await signIn(shop);
  for (const secrets of [{ JWT_SECRET: SECOND }, { JWT_SECRET: FIRST, IDENTITY_SECRET: SECOND }]) {
    const gateway = await gatewayWith(secrets);
    const unavailable = { status: 503, body: { code: 'SERVICE_UNAVAILABLE' } };
    expect(await gateway.call('POST', '/api/auth/codes', { json: { phone } })).toMatchObject(unavailable);
    expect(
      await gateway.call('POST', '/api/auth/sessions', { json: { phone, code: '123456' } }),
    ).toMatchObject(unavailable);
  }
});
