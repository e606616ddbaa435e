import { Inject, Module, type BeforeApplicationShutdown } from '@nestjs/common';
import type { Logger } from 'pino';
import {
  DEFAULT_PORTS,
  loadConfig,
  LOGGER,
  SERVICE_CONFIG,
  ServiceModule,
  type ServiceConfig,
} from '#libs/service-kit';
import { PrismaClient } from '#prisma/notification';
import { DeliveryStore } from './deliveries/delivery-store.js';
import { LogOnlyProvider, PUSH_PROVIDER, SMS_PROVIDER } from './deliveries/text-provider.js';
import { DispatchNotifications } from './dispatch/dispatch-notifications.js';
import { NotifyBuyerConsumer } from './dispatch/notify-buyer.consumer.js';
import { MailboxController } from './mailbox/mailbox.controller.js';
import { MailboxStore } from './mailbox/mailbox-store.js';
import { ReadMailbox } from './mailbox/read-mailbox.js';
import { SmtpMailbox } from './mailbox/smtp-mailbox.js';
import { mailboxPortOf, NOTIFICATION_CONFIG, NotificationConfig } from './notification.config.js';
import { MAIL_TRANSPORT, openMailTransport, type MailTransport } from './send-email/mail-transport.js';
import { SendEmailConsumer } from './send-email/send-email.consumer.js';
import { SendPushConsumer } from './send-push/send-push.consumer.js';
import { SendSmsConsumer } from './send-sms/send-sms.consumer.js';

/** Injection token of the URL that mail is handed over to. */
const SMTP_URL = Symbol('SMTP_URL');

@Module({
  imports: [
    ServiceModule.forRoot({
      name: 'notification',
      prisma: PrismaClient,
      // The local mailbox is for looking at. What was sent to whom stays in `deliveries`, as long as the orders do.
      forget: [{ table: 'mailbox', since: 'received_at', keepDays: 30 }],
    }),
  ],
  controllers: [NotifyBuyerConsumer, SendSmsConsumer, SendEmailConsumer, SendPushConsumer, MailboxController],
  providers: [
    { provide: NOTIFICATION_CONFIG, useFactory: () => loadConfig(NotificationConfig) },
    DispatchNotifications,
    DeliveryStore,
    MailboxStore,
    ReadMailbox,
    {
      provide: SMS_PROVIDER,
      inject: [LOGGER],
      useFactory: (logger: Logger) => new LogOnlyProvider('sms', logger),
    },
    {
      provide: PUSH_PROVIDER,
      inject: [LOGGER],
      useFactory: (logger: Logger) => new LogOnlyProvider('push', logger),
    },
    {
      provide: SmtpMailbox,
      inject: [MailboxStore, LOGGER],
      useFactory: (store: MailboxStore, logger: Logger) => new SmtpMailbox(store, logger),
    },
    {
      provide: SMTP_URL,
      inject: [NOTIFICATION_CONFIG, SERVICE_CONFIG, SmtpMailbox],
      useFactory: smtpUrlOf,
    },
    { provide: MAIL_TRANSPORT, inject: [SMTP_URL], useFactory: openMailTransport },
  ],
})
export class NotificationModule implements BeforeApplicationShutdown {
  constructor(
    @Inject(MAIL_TRANSPORT) private readonly transport: MailTransport,
    private readonly mailbox: SmtpMailbox,
  ) {}

  /** The consumers are gone by now; the database, which the mailbox writes to, is closed after this. */
  async beforeApplicationShutdown(): Promise<void> {
    this.transport.close();
    await this.mailbox.close();
  }
}

/** Without SMTP_URL the local mailbox is opened, and mail goes there. */
async function smtpUrlOf(
  config: NotificationConfig,
  { PORT }: ServiceConfig,
  mailbox: SmtpMailbox,
): Promise<string> {
  if (config.SMTP_URL !== undefined) return config.SMTP_URL;
  const httpPort = PORT ?? DEFAULT_PORTS['notification'] ?? 0;
  return `smtp://127.0.0.1:${await mailbox.listen(mailboxPortOf(config, httpPort))}`;
}
