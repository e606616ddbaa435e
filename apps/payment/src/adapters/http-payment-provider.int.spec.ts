import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { HttpPaymentProvider } from './http-payment-provider.js';

let server: Server | undefined;
let provider: HttpPaymentProvider | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  server?.close();
  await provider?.onApplicationShutdown();
});

async function answering(answer: RequestListener): Promise<HttpPaymentProvider> {
  const listening = createServer(answer);
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const { port } = listening.address() as AddressInfo;
  provider = new HttpPaymentProvider({
    url: `http://127.0.0.1:${port}`,
    jwtSecret: 'a secret, long enough for HS256',
  });
  return provider;
}
const intent = { reference: '00000000-0000-4000-8000-000000000001', amountMinor: 1, currency: 'EUR' };

test.each<[string, RequestListener]>([
  ['a 500', (_, response) => response.writeHead(500).end('{}')],
  ['a 429', (_, response) => response.writeHead(429).end()],
  ['a redirect', (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/login' }).end()],
  ["a proxy's page", (_, response) => response.writeHead(200).end('<html>Welcome</html>')],
  ['half a JSON', (_, response) => response.writeHead(201).end('{"intentId": "pi_')],
  ['nothing', (_, response) => response.writeHead(201).end()],
  ['another JSON', (_, response) => response.writeHead(201).end('{"id": 1}')],
  ['more than anybody needs', (_, response) => response.writeHead(201).end('x'.repeat(100_000))],
  ['a broken connection', (request) => request.socket.destroy()],
])('%s is no answer: the caller is told to try again', async (_, answer) => {
  const asked = (await answering(answer)).createIntent(intent);
  await expect(asked).rejects.toMatchObject({ code: 'PAYMENT_PROVIDER_UNAVAILABLE', kind: 'transient' });
});

test('an answer that trickles in for ever ends after five seconds', async () => {
  const asked = (
    await answering((_, response) => {
      response.writeHead(201);
      const drip = setInterval(() => response.write(' '), 200);
      response.on('close', () => clearInterval(drip));
    })
  ).createIntent(intent);
  await expect(asked).rejects.toMatchObject({ code: 'PAYMENT_PROVIDER_UNAVAILABLE', kind: 'transient' });
}, 10_000);

test('a refusal is our own bug, not an outage', async () => {
  const asked = (await answering((_, response) => response.writeHead(400).end('{"code":"X"}'))).createIntent(
    intent,
  );
  await expect(asked).rejects.toThrow('refused POST /intents with 400');
});
