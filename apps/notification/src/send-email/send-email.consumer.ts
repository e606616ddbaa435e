import { Controller, Inject } from '@nestjs/common';
import { SendEmail } from '#libs/contracts';
import { backoff, ConsumeBatch, DomainError, type Delivery } from '#libs/messaging';
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
      try {
        await this.transport.sendMail({ from: this.config.MAIL_FROM, to, subject, text, messageId });
      } catch (error) {
        throw mailFailure(to, error);
      }
    });
  }
}

/** 5xx is the server's last word on this mail (RFC 5321, 4.2.1); everything else may be different next time. */
function mailFailure(to: string, error: unknown): DomainError {
  const said = error instanceof Error ? error.message : String(error);
  const responseCode = error instanceof Error && 'responseCode' in error ? Number(error.responseCode) : 0;
  return responseCode >= 500
    ? new DomainError('MAIL_REFUSED', 'invalid', `mail to ${to} is refused: ${said}`, undefined, {
        cause: error,
      })
    : new DomainError('MAIL_FAILED', 'transient', `mail to ${to} failed: ${said}`, undefined, {
        cause: error,
      });
}
