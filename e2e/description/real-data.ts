/**
 * `node real-data.js URL`: has a shop make what its description can only name (orders, payments, a sign-in code, dead
 * letters), and prints the shop's own description with examples of them. Takes `JWT_SECRET`, `BROKER_URL`, `BROKER_TOKEN`.
 */
import { connectBroker } from '#libs/broker';
import { eventually, ShopClient } from '../harness/client.js';

type Operation = {
  parameters?: { name: string; example?: unknown }[];
  requestBody?: { content: Record<string, { example?: unknown }> };
};
type Description = { paths: Record<string, Record<string, Operation>> };

/** Who holds the token of the check. */
const BUYER = 'checker';
const PHONE = '+491701234567';
/** Some are cancelled, some paid, and each answers to that only once. */
const ORDERS = 12;
const PAYMENTS = 4;
const DEAD_LETTERS = 30;

const [url = ''] = process.argv.slice(2);
const shop = new ShopClient(url, setting('JWT_SECRET'));

const ticketTypeId = await shop.sell(1_000, { perUserLimit: 1_000 });
const orderNos: string[] = [];
for (let made = 0; made < ORDERS; made++) {
  orderNos.push((await shop.buy(BUYER, ticketTypeId)).orderNo);
}
const intentIds: string[] = [];
for (const orderNo of orderNos.slice(0, PAYMENTS)) {
  const { body } = await shop.startPayment(BUYER, orderNo);
  intentIds.push(body.checkoutUrl.split('/').at(-1) ?? '');
}
const code = await signInCode();
const deadLetterIds = await deadLetters();

const { body: description } = await shop.call<Description>('GET', '/docs/json');
exampleOf('/api/orders/{orderNo}', 'get', 'orderNo', orderNos[0]);
exampleOf('/api/orders/{orderNo}/payments', 'post', 'orderNo', orderNos[PAYMENTS]);
exampleOf('/api/orders/{orderNo}/cancel', 'post', 'orderNo', orderNos[PAYMENTS + 1]);
exampleOf('/api/provider/checkouts/{intentId}', 'get', 'intentId', intentIds[0]);
exampleOf('/api/provider/checkouts/{intentId}', 'post', 'intentId', intentIds[0]);
exampleOf('/api/ops/dead-letters/{id}', 'get', 'id', deadLetterIds[0]);
exampleOf('/api/ops/dead-letters/{id}', 'patch', 'id', deadLetterIds[0]);
exampleOf('/api/ops/dead-letters/{id}', 'delete', 'id', deadLetterIds[1]);
exampleOf('/api/ops/dead-letters/{id}/redrive', 'post', 'id', deadLetterIds[2]);
exampleOf('/api/ops/groups/{group}/reset', 'post', 'group', 'stock.confirm');
exampleOfBody('/api/orders', { ticketTypeId, quantity: 1 });
exampleOfBody('/api/auth/sessions', { phone: PHONE, code });
exampleOfBody('/api/provider/checkouts/{intentId}', { outcome: 'succeed' });
exampleOfBody('/api/ops/dead-letters/redrive', { filter: { group: 'notification.push' } });
exampleOfBody('/api/ops/verdict/accepted', { orderNos });
process.stdout.write(JSON.stringify(description));

async function signInCode(): Promise<string> {
  const { status } = await shop.call('POST', '/api/auth/codes', { body: { phone: PHONE } });
  if (status !== 202) throw new Error(`no code: ${status}`);
  return eventually(
    async () => {
      const { body } = await shop.admin<{ items: { text: string }[] }>(
        'GET',
        `/api/ops/mailbox?channel=sms&to=${encodeURIComponent(PHONE)}`,
      );
      return body.items.map(({ text }) => /\b\d{6}\b/.exec(text)?.[0]).find(Boolean);
    },
    15_000,
    () => 'no code by SMS',
  );
}

/** Their ids. No group of the topic can read them, and a redrive does not help. */
async function deadLetters(): Promise<string[]> {
  const broker = connectBroker({
    url: setting('BROKER_URL'),
    token: setting('BROKER_TOKEN'),
    clientName: 'description',
  });
  const unreadable = { topic: 'notification', tag: 'push', body: Buffer.from('{"not":"a notification"}') };
  await broker.send(
    Array.from({ length: DEAD_LETTERS }, (_, index) => ({ ...unreadable, key: `k${index}` })),
  );
  await broker.close();
  return eventually(
    async () => {
      const { body } = await shop.admin<{ items: { id: string }[] }>(
        'GET',
        '/api/ops/dead-letters?limit=100',
      );
      return body.items.length >= DEAD_LETTERS ? body.items.map(({ id }) => id) : undefined;
    },
    30_000,
    () => 'the messages were not dead-lettered',
  );
}

function exampleOf(path: string, method: string, parameter: string, example: unknown): void {
  const described = operationOf(path, method).parameters?.find(({ name }) => name === parameter);
  if (described === undefined) throw new Error(`${method} ${path} has no ${parameter}`);
  described.example = example;
}

function exampleOfBody(path: string, example: unknown): void {
  const media = operationOf(path, 'post').requestBody?.content['application/json'];
  if (media === undefined) throw new Error(`post ${path} takes no body`);
  media.example = example;
}

function operationOf(path: string, method: string): Operation {
  const operation = description.paths[path]?.[method];
  if (operation === undefined) throw new Error(`${method} ${path} is not described`);
  return operation;
}

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}
