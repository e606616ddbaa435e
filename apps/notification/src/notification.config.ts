import { z } from 'zod';

/** What the notification service reads beside `ServiceConfig`. */
export const NotificationConfig = z.object({
  /** Where mail is handed over. Absent: the local mailbox. */
  SMTP_URL: z.url({ protocol: /^smtps?$/, error: 'must be an smtp:// URL' }).optional(),
  /** Where the local mailbox listens; 0 takes any free port. Absent: 21 above PORT. */
  MAILBOX_SMTP_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  MAIL_FROM: z.string().default('Stampede <tickets@stampede.example>'),
});
export type NotificationConfig = z.output<typeof NotificationConfig>;

/** Injection token of the parsed `NotificationConfig`. */
export const NOTIFICATION_CONFIG = Symbol('NOTIFICATION_CONFIG');

const MAILBOX_PORT_OFFSET = 21;

/** The mailbox's port; a service on any free port has its mailbox on any free port too. */
export function mailboxPortOf(config: NotificationConfig, httpPort: number): number {
  return config.MAILBOX_SMTP_PORT ?? (httpPort === 0 ? 0 : httpPort + MAILBOX_PORT_OFFSET);
}
