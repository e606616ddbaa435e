import { createTransport, type Transporter } from 'nodemailer';

/** Injection token of the pooled SMTP connection. */
export const MAIL_TRANSPORT = Symbol('MAIL_TRANSPORT');
export type MailTransport = Pick<Transporter, 'sendMail' | 'close'>;

export const MAX_CONNECTIONS = 4;
const CONNECT_TIMEOUT_MS = 3_000;
const SOCKET_TIMEOUT_MS = 15_000;

/** Kept-alive connections; a handshake per mail would be dearer than the mail. */
export function openMailTransport(smtpUrl: string): MailTransport {
  return createTransport({
    url: smtpUrl,
    pool: true,
    maxConnections: MAX_CONNECTIONS,
    maxMessages: Infinity,
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    // Mails are made from strings of ours; nothing in them may name a file or a URL to be read.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
}
