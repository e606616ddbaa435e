import { Module } from '@nestjs/common';
import { loadConfig, ServiceModule } from '#libs/service-kit';
import { RedisStockModule } from '#libs/redis-stock';
import { PrismaClient } from '#prisma/ops';
import { AlertStore } from './alerts/alert-store.js';
import { AlertWatch } from './alerts/alert-watch.js';
import { AlertWebhook } from './alerts/alert-webhook.js';
import { AlertsController } from './alerts/alerts.controller.js';
import { PaymentAnomalyConsumer } from './alerts/payment-anomaly.consumer.js';
import { AuditController } from './audit/audit.controller.js';
import { AuditLog } from './audit/audit-log.js';
import { DeadLetterCollector } from './collect-dead-letters/dead-letter-collector.js';
import { DeadLetterStore } from './collect-dead-letters/dead-letter-store.js';
import { GroupsController } from './groups/groups.controller.js';
import { InspectDeadLettersController } from './inspect-dead-letters/inspect-dead-letters.controller.js';
import { OPS_CONFIG, OpsConfig } from './ops.config.js';
import { EditDeadLetter } from './redrive-dead-letters/edit-dead-letter.js';
import { RedriveDeadLetters } from './redrive-dead-letters/redrive-dead-letters.js';
import { RedriveDeadLettersController } from './redrive-dead-letters/redrive-dead-letters.controller.js';
import { TraceMessageController } from './trace-message/trace-message.controller.js';
import { GiveVerdict } from './verdict/give-verdict.js';
import { ReadBooks } from './verdict/read-books.js';
import { ReadLog } from './verdict/read-log.js';
import { ReadStock } from './verdict/read-stock.js';
import { VerdictController } from './verdict/verdict.controller.js';

@Module({
  imports: [
    ServiceModule.forRoot({
      name: 'ops',
      prisma: PrismaClient,
      redis: true,
      // What waits for an operator is kept however old it gets.
      forget: [
        { table: 'dead_letters', since: 'resolved_at', keepDays: 30 },
        { table: 'alerts', since: 'resolved_at', keepDays: 90 },
        { table: 'audit', since: 'at', keepDays: 365 },
      ],
    }),
    RedisStockModule,
  ],
  controllers: [
    InspectDeadLettersController,
    RedriveDeadLettersController,
    GroupsController,
    TraceMessageController,
    AlertsController,
    AuditController,
    VerdictController,
    PaymentAnomalyConsumer,
  ],
  providers: [
    { provide: OPS_CONFIG, useFactory: () => loadConfig(OpsConfig) },
    DeadLetterStore,
    DeadLetterCollector,
    EditDeadLetter,
    RedriveDeadLetters,
    AuditLog,
    AlertStore,
    AlertWebhook,
    AlertWatch,
    ReadBooks,
    ReadLog,
    ReadStock,
    GiveVerdict,
  ],
})
export class OpsModule {}
