import { Controller, Inject } from '@nestjs/common';
import { SendEmail } from '#libs/contracts';
import { backoff, ConsumeBatch, type Delivery } from '#libs/messaging';
import { deliverOnce } from '../deliveries/deliver-once.js';
import { DeliveryStore } from '../deliveries/delivery-store.js';
import { mailMessageIdOf } from '../domain/addresses.js';
import { NOTIFICATION_CONFIG, type NotificationConfig } from '../notification.config.js';
import { MAIL_TRANSPORT, type MailTransport } from './mail-transport.js';

@Controller()
export class SendEmailConsumer {
  constructor(
    private readonly deliveries: DeliveryStore,
    @Inject(MAIL_TRANSPORT) private readonly transport: MailTransport,
    @Inject(NOTIFICATION_CONFIG) private readonly config: NotificationConfig,
  ) {}

  @ConsumeBatch(SendEmail, {
    group: 'notification.email',
    maxBatchMessages: 100,
    retry: backoff({ attempts: 10, firstDelayMs: 1_000 }),
  })
  async handle(batch: readonly Delivery<SendEmail>[]): Promise<void> {
    const mails = batch.map(({ payload }) => payload);
    await deliverOnce(this.deliveries, 'email', mails, async ({ subjectId, kind, to, subject, text }) => {
      const messageId = mailMessageIdOf(subjectId, kind);
      await this.transport.sendMail({ from: this.config.MAIL_FROM, to, subject, text, messageId });
    });
  }
}
