import { Module } from '@nestjs/common';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { Health, LOGGER, REDIS } from '#libs/service-kit';
import type { Fitness } from './fitness.js';
import { RedisStock } from './redis-stock.js';

/**
 * The stock on the service's Redis. What is wrong with that Redis is said in a line each time that it
 * changes, and while no stock is kept there the service is not ready.
 */
@Module({
  providers: [{ provide: RedisStock, inject: [REDIS, LOGGER, Health], useFactory: open }],
  exports: [RedisStock],
})
export class RedisStockModule {}

function open(redis: Redis, logger: Logger, health: Health): RedisStock {
  let said = '';
  const stock = new RedisStock(redis, ({ refusals, warnings }: Fitness) => {
    const lines = [...refusals, ...warnings].join('\n');
    if (lines === said) return;
    said = lines;
    for (const line of refusals) logger.error(line);
    for (const line of warnings) logger.warn(line);
  });
  health.register('stock-store', async () => {
    const { refusals } = await stock.look();
    if (refusals.length > 0) throw new Error(refusals.join(' '));
  });
  return stock;
}
