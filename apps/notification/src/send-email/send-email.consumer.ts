import { Controller, Inject } from '@nestjs/common';
import { SendEmail } from '#libs/contracts';
import { backoff, ConsumeBatch, DomainError, UnavailableError, type Delivery } from '#libs/messaging';
import { deliverOnce } from '../deliveries/deliver-once.js';
import { DeliveryStore } from '../deliveries/delivery-store.js';
import { mailMessageIdOf } from '../domain/addresses.js';
import { NOTIFICATION_CONFIG, type NotificationConfig } from '../notification.config.js';
import { MAIL_TRANSPORT, MAX_CONNECTIONS, type MailTransport } from './mail-transport.js';

/** Twice as many as there are connections: while a mail is marked as sent, its connection has the next one. */
const MAX_AT_ONCE = 2 * MAX_CONNECTIONS;

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
    await deliverOnce(this.deliveries, batch, {
      channel: 'email',
      maxAtOnce: MAX_AT_ONCE,
      send: (mail) => this.send(mail),
    });
  }

  private async send({ subjectId, kind, to, subject, text }: SendEmail): Promise<void> {
    const messageId = mailMessageIdOf(subjectId, kind);
    try {
      await this.transport.sendMail({ from: this.config.MAIL_FROM, to, subject, text, messageId });
    } catch (error) {
      throw mailFailure(to, error);
    }
  }
}

/** What nodemailer says of a failure: the server's answer, and to which command; neither when there was none. */
type SmtpError = { message?: string; responseCode?: number; command?: string };

/**
 * 5xx to a recipient or to the mail itself is the server's last word on this mail (RFC 5321, 4.2.1). Everything
 * else may be different next time. A failure before the recipient is named (no connection, our greeting, password
 * or sender) would meet every mail alike: the server is away, and all of them wait for it.
 */
function mailFailure(to: string, error: unknown): DomainError {
  const { message, responseCode = 0, command } = error as SmtpError;
  const said = message ?? String(error);
  const isOfThisMail = command === 'RCPT TO' || command === 'DATA';
  if (!isOfThisMail) {
    return new UnavailableError('MAIL_FAILED', `the mail server is away: ${said}`, undefined, {
      cause: error,
    });
  }
  return responseCode >= 500
    ? new DomainError('MAIL_REFUSED', 'invalid', `mail to ${to} is refused: ${said}`, undefined, {
        cause: error,
      })
    : new DomainError('MAIL_FAILED', 'transient', `mail to ${to} failed: ${said}`, undefined, {
        cause: error,
      });
}
