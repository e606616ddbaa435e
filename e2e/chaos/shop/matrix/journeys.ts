import { Redis } from 'ioredis';
import { eventually } from '../../../harness/client.js';
import type { ShopClient } from '../../../load/shop-client.js';
import type { Buyers } from '../buyers.js';
import type { ShopUnderChaos } from '../shop-under-chaos.js';
import type { Journey } from './steps.js';

const DEAD_WITHIN_MS = 60_000;
const REDRIVEN_WITHIN_MS = 60_000;

export type Travelling = {
  shop: ShopUnderChaos;
  buyers: Buyers;
  /** Past all proxies. */
  direct: ShopClient;
  adminToken: string;
  ticketTypeId: string;
};

/** Does what leads to the step; resolves when the buyer has come to an end. */
export async function travel(journey: Journey, buyer: string, travelling: Travelling): Promise<void> {
  const { shop, buyers, ticketTypeId } = travelling;
  switch (journey) {
    case 'buys':
      return buyers.buy(buyer, ticketTypeId, 1, 'pays');
    case 'gives-up': {
      // Held, never queued, never asked for again.
      const link = shop.link('gateway-broker');
      link.refuse();
      await buyers.askOnce(buyer, ticketTypeId);
      link.resume();
      return;
    }
    case 'redis-forgets':
      await forget(shop.redisUrl);
      return buyers.buy(buyer, ticketTypeId, 1, 'pays');
    case 'redrives':
      return redrive(buyer, travelling);
    default:
      return buyers.buy(buyer, ticketTypeId, 1, journey);
  }
}

async function forget(url: string): Promise<void> {
  const redis = new Redis(url);
  try {
    await redis.flushall();
  } finally {
    redis.disconnect();
  }
}

/** A mail that no server takes, then one does, and an operator who gives it back until the shop says that it has. */
async function redrive(
  buyer: string,
  { shop, buyers, direct, adminToken, ticketTypeId }: Travelling,
): Promise<void> {
  const { mailServer } = shop;
  mailServer.refused.add(buyer);
  await buyers.buy(buyer, ticketTypeId, 1, 'pays');
  const letters = await eventually(
    async () => {
      const path = '/api/ops/dead-letters?group=notification.email&status=DEAD';
      const { body } = await direct.call(path, { method: 'GET', token: adminToken });
      const items = (body?.['items'] ?? []) as { id: string }[];
      return items.length > 0 ? items : undefined;
    },
    DEAD_WITHIN_MS,
    () => `the mail to ${buyer} is not among the dead letters`,
  );
  mailServer.refused.delete(buyer);
  for (const { id } of letters)
    await eventually(
      async () => {
        const path = `/api/ops/dead-letters/${encodeURIComponent(id)}/redrive`;
        const { status } = await direct.call(path, { method: 'POST', token: adminToken });
        // 404 and 409: an earlier call did it, and its answer was lost.
        return [202, 404, 409].includes(status) ? true : undefined;
      },
      REDRIVEN_WITHIN_MS,
      () => `dead letter ${id} could not be given back`,
    );
}
