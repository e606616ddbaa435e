import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import PostalMime from 'postal-mime';
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server';
import type { MailboxStore, ReceivedMail } from './mailbox-store.js';

const MAX_MAIL_BYTES = 1024 * 1024;
const MAX_CLIENTS = 32;
const CLOSE_TIMEOUT_MS = 1_000;

/** A mailbox on this machine that takes every mail, speaks real SMTP, and lets nothing out. */
export class SmtpMailbox {
  private readonly server: SMTPServer;

  constructor(
    private readonly store: Pick<MailboxStore, 'add'>,
    private readonly logger: Logger,
  ) {
    this.server = new SMTPServer({
      // Loopback only, one process with its client: nothing to sign in to, nothing to encrypt.
      disabledCommands: ['AUTH', 'STARTTLS'],
      disableReverseLookup: true,
      size: MAX_MAIL_BYTES,
      maxClients: MAX_CLIENTS,
      closeTimeout: CLOSE_TIMEOUT_MS,
      banner: 'Stampede mailbox',
      onData: (stream, session, done) => {
        this.receive(stream, session).then(
          () => done(),
          (error: unknown) => {
            this.logger.warn({ err: error }, 'a mail could not be stored');
            done(Object.assign(new Error('could not be stored, try again'), { responseCode: 451 }));
          },
        );
      },
    });
    this.server.on('error', (error: Error) => {
      // A client that hung up in the middle. Before `listen` has answered, `listen` reports it.
      this.logger.debug({ err: error }, 'SMTP connection failed');
    });
  }

  /** Resolves with the port that was taken. */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const { server } = this.server;
      server.once('error', reject);
      this.server.listen(port, '127.0.0.1', () => {
        server.off('error', reject);
        resolve((server.address() as AddressInfo).port);
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.server.close(resolve));
  }

  private async receive(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<void> {
    const chunks: Buffer[] = [];
    // Read to the end even when it is too large, else the connection is stuck.
    for await (const chunk of stream) if (!stream.sizeExceeded) chunks.push(chunk as Buffer);
    if (stream.sizeExceeded) throw new Error(`the mail has more than ${MAX_MAIL_BYTES} bytes`);
    await this.store.add(await parse(Buffer.concat(chunks), session));
  }
}

async function parse(raw: Buffer, { envelope }: SMTPServerSession): Promise<ReceivedMail> {
  const mail = await PostalMime.parse(raw);
  return {
    messageId: (mail.messageId && storable(mail.messageId)) ?? `<${randomUUID()}@mailbox.stampede.example>`,
    sender: envelope.mailFrom === false ? '' : envelope.mailFrom.address,
    recipient: envelope.rcptTo.map(({ address }) => address).join(', '),
    subject: storable(mail.subject ?? ''),
    text: storable(mail.text ?? '').trimEnd(),
    html: mail.html && storable(mail.html),
  };
}

/** No text column takes a NUL: one mail with it would be refused for ever, and each time with all that came beside it. */
const storable = (text: string): string => text.replaceAll('\0', '\uFFFD');
