import { Redis } from 'ioredis';
import { eventually } from '../../../harness/client.js';
import type { ShopClient } from '../../../load/shop-client.js';
import type { Buyers } from '../buyers.js';
import type { ShopUnderChaos } from '../shop-under-chaos.js';
import type { Striking } from '../strike.js';
import { script, type Journey } from './steps.js';

/** libs/redis-stock/src/stock-keys.ts */
const EPOCH_KEY = 'stock:epoch';
const VERIFIED_WITHIN_MS = 30_000;
const DEAD_WITHIN_MS = 60_000;
const REDRIVEN_WITHIN_MS = 60_000;

export type Travelling = {
  shop: ShopUnderChaos;
  buyers: Buyers;
  striking: Striking;
  /** Past all proxies. */
  direct: ShopClient;
  adminToken: string;
  ticketTypeId: string;
};

/** Does what leads to the step; resolves when the buyer has come to an end. */
export async function travel(journey: Journey, buyer: string, travelling: Travelling): Promise<void> {
  const { shop, buyers, striking, ticketTypeId } = travelling;
  switch (journey) {
    case 'buys':
      return buyers.buy(buyer, ticketTypeId, 1, 'pays');
    case 'gives-up': {
      // Held, and the gateway is gone before it has queued the order; nobody asks again.
      const strike = {
        atMs: 0,
        victim: 'process:gateway',
        how: 'kill',
        process: 'gateway',
        forMs: 0,
      } as const;
      const act = (): 'reset' => {
        striking.soon(strike);
        return 'reset';
      };
      const isHeld = shop.link('gateway-redis').intercept(script('stockReserve'), { when: 'after', act });
      await Promise.all([isHeld, buyers.askOnce(buyer, ticketTypeId)]);
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
    // Not while it is still being put right from the last time.
    await eventually(
      async () => (await redis.get(EPOCH_KEY)) ?? undefined,
      VERIFIED_WITHIN_MS,
      () => 'Redis is not verified',
    );
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
