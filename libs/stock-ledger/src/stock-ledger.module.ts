import { Module } from '@nestjs/common';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { Health, LOGGER, REDIS } from '#libs/service-kit';
import type { Fitness } from './fitness.js';
import { StockLedger } from './stock-ledger.js';

/**
 * The stock ledger on the service's Redis. What is wrong with that Redis is said in a line each time that it
 * changes, and while no stock is kept there the service is not ready.
 */
@Module({
  providers: [{ provide: StockLedger, inject: [REDIS, LOGGER, Health], useFactory: open }],
  exports: [StockLedger],
})
export class StockLedgerModule {}

function open(redis: Redis, logger: Logger, health: Health): StockLedger {
  let said = '';
  const ledger = new StockLedger(redis, ({ refusals, warnings }: Fitness) => {
    const lines = [...refusals, ...warnings].join('\n');
    if (lines === said) return;
    said = lines;
    for (const line of refusals) logger.error(line);
    for (const line of warnings) logger.warn(line);
  });
  health.register('stock-store', async () => {
    const { refusals } = await ledger.look();
    if (refusals.length > 0) throw new Error(refusals.join(' '));
  });
  return ledger;
}
