import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { connectBroker } from '#libs/broker';
import { eventually } from './harness/client.js';
import { Shop } from './harness/shop.js';

type DeadLetter = {
  id: string;
  group: string;
  reason: string;
  error: string;
  attempts: unknown[];
  status: string;
};
type DeadLetterPage = { items: DeadLetter[] };

describe('a message that cannot be handled', () => {
  let shop: Shop;
  let mailServer: SMTPServer;
  const received: string[] = [];
  const refused = new Set<string>();

  beforeAll(async () => {
    mailServer = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS', 'AUTH'],
      onRcptTo({ address }, _session, callback) {
        const isRefused = [...refused].some((buyer) => address.startsWith(buyer));
        callback(isRefused ? Object.assign(new Error('no such mailbox'), { responseCode: 550 }) : null);
      },
      onData(stream, session, callback) {
        stream.resume();
        stream.once('end', () => {
          received.push(...session.envelope.rcptTo.map(({ address }) => address));
          callback();
        });
      },
    });
    await new Promise<void>((resolve) => mailServer.listen(0, '127.0.0.1', resolve));
    const { port } = mailServer.server.address() as AddressInfo;
    shop = await Shop.open({ SMTP_URL: `smtp://127.0.0.1:${port}` });
  }, 180_000);
  afterAll(async () => {
    await shop?.close();
    await new Promise<void>((resolve) => mailServer.close(resolve));
  }, 30_000);

  it('ends as a dead letter with its cause while the rest flows, and a redrive after the fix completes it', async () => {
    const { client } = shop;
    const ticketTypeId = await client.sell(10);
    const [poisoned, healthy] = [`poisoned-${randomUUID()}`, `healthy-${randomUUID()}`];
    refused.add(poisoned);
    for (const buyer of [poisoned, healthy]) {
      const order = await client.buy(buyer, ticketTypeId);
      await client.pay(buyer, order.orderNo);
      await client.orderIn(buyer, order.orderNo, ['PAID']);
    }
    await mailArrives(healthy);

    const letter = await eventually(
      async () => {
        const { body } = await client.admin<DeadLetterPage>(
          'GET',
          '/api/ops/dead-letters?group=notification.email',
        );
        return body.items.find(({ status }) => status === 'DEAD');
      },
      30_000,
      () => 'no dead letter',
    );
    expect(letter).toMatchObject({ group: 'notification.email', reason: 'rejected' });
    expect(letter.error).toMatch('no such mailbox');
    expect(received.some((address) => address.startsWith(poisoned))).toBe(false);
    await eventually(
      async () => {
        const { body } = await client.admin('GET', '/api/ops/alerts');
        return JSON.stringify(body).includes('dead-letters:notification.email') ? true : undefined;
      },
      15_000,
      () => 'no alert',
    );

    refused.clear();
    const redriven = await client.admin(
      'POST',
      `/api/ops/dead-letters/${encodeURIComponent(letter.id)}/redrive`,
    );
    expect(redriven.status).toBe(202);
    await mailArrives(poisoned);
    await client.verdictHolds();
  }, 90_000);

  it('is dead-lettered at once when it does not parse, by every group that takes it', async () => {
    const { client } = shop;
    const broker = connectBroker({
      url: shop.brokerUrl ?? '',
      token: shop.brokerToken,
      clientName: 'e2e',
    });
    await broker.send([{ topic: 'order', tag: 'paid', key: 'x', body: Buffer.from('{"not":"an order"}') }]);
    await broker.close();
    const letters = await eventually(
      async () => {
        const { body } = await client.admin<DeadLetterPage>(
          'GET',
          '/api/ops/dead-letters?reason=not-parseable',
        );
        const groups = new Set(body.items.map(({ group }) => group));
        return groups.has('stock.confirm') && groups.has('notification.dispatch') ? body.items : undefined;
      },
      15_000,
      () => 'the unparseable message was not dead-lettered by both groups',
    );
    expect(letters.every(({ error }) => error.length > 0)).toBe(true);
    await client.verdictHolds();
  }, 60_000);

  const mailArrives = (buyer: string): Promise<boolean> =>
    eventually(
      async () => (received.some((address) => address.startsWith(buyer)) ? true : undefined),
      20_000,
      () => `no mail to ${buyer}; got ${received.join(', ')}`,
    );
});
