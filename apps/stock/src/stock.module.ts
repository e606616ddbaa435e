import { Module } from '@nestjs/common';
import { loadConfig, ServiceModule } from '#libs/service-kit';
import { RedisStockModule } from '#libs/redis-stock';
import { PrismaClient } from '#prisma/stock';
import { OrderPaidConsumer } from './confirm-stock/order-paid.consumer.js';
import { CreateShow } from './create-show/create-show.js';
import { CreateShowController } from './create-show/create-show.controller.js';
import { OrderCreatedConsumer } from './deduct-stock/order-created.consumer.js';
import { ListShows } from './list-shows/list-shows.js';
import { ListShowsController } from './list-shows/list-shows.controller.js';
import { MoveStock } from './move-stock/move-stock.js';
import { MovementLedger } from './move-stock/movement-ledger.js';
import { StockMirror } from './move-stock/stock-mirror.js';
import { OrderQueue } from './order-queue/order-queue.js';
import { ReapHolds } from './reap-holds/reap-holds.js';
import { RebuildStock } from './rebuild-stock/rebuild-stock.js';
import { RecordSync } from './rebuild-stock/record-sync.js';
import { VerifyStock } from './rebuild-stock/verify-stock.js';
import { ReconcileStock } from './reconcile-stock/reconcile-stock.js';
import { ReleaseOrphans } from './release-orphans/release-orphans.js';
import { OrderRefundedConsumer } from './return-stock/order-refunded.consumer.js';
import { OrderCancelledConsumer } from './roll-back-stock/order-cancelled.consumer.js';
import { SeedShows } from './seed-shows/seed-shows.js';
import { StockJobs } from './stock-jobs.js';
import { STOCK_CONFIG, StockConfig } from './stock.config.js';

@Module({
  imports: [ServiceModule.forRoot({ name: 'stock', prisma: PrismaClient, redis: true }), RedisStockModule],
  controllers: [
    OrderCreatedConsumer,
    OrderPaidConsumer,
    OrderCancelledConsumer,
    OrderRefundedConsumer,
    CreateShowController,
    ListShowsController,
  ],
  providers: [
    { provide: STOCK_CONFIG, useFactory: () => loadConfig(StockConfig) },
    MovementLedger,
    StockMirror,
    MoveStock,
    RebuildStock,
    RecordSync,
    VerifyStock,
    OrderQueue,
    ReapHolds,
    ReconcileStock,
    ReleaseOrphans,
    CreateShow,
    ListShows,
    SeedShows,
    StockJobs,
  ],
})
export class StockModule {}
