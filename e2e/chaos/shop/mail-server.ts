import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import PostalMime from 'postal-mime';
import { SMTPServer, type SMTPServerDataStream } from 'smtp-server';

/** A mail as it came in; the same `Message-ID` again is the same mail, sent because an answer was lost. */
export type ReceivedMail = { messageId: string; to: string; subject: string };

/** Takes every mail and keeps it, for as long as the run: what buyers were really told. */
export class MailServer {
  readonly mails: ReceivedMail[] = [];
  /** Buyers to whom no mail can be delivered: their addresses begin with their names. */
  readonly refused = new Set<string>();
  private readonly server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    closeTimeout: 500,
    onRcptTo: ({ address }, _session, done) => {
      const isRefused = [...this.refused].some((buyer) => address.startsWith(buyer));
      done(isRefused ? Object.assign(new Error('no such mailbox'), { responseCode: 550 }) : null);
    },
    onData: (stream, { envelope }, done) => {
      this.receive(
        stream,
        envelope.rcptTo.map(({ address }) => address),
      ).then(() => done(), done);
    },
  });

  static async start(): Promise<MailServer> {
    const mailbox = new MailServer();
    // Clients are cut off in the middle: that is what the run is about.
    mailbox.server.on('error', () => undefined);
    mailbox.server.listen(0, '127.0.0.1');
    await once(mailbox.server.server, 'listening');
    return mailbox;
  }

  get port(): number {
    return (this.server.server.address() as AddressInfo).port;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.server.close(resolve));
  }

  private async receive(stream: SMTPServerDataStream, to: readonly string[]): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const { messageId = '', subject = '' } = await PostalMime.parse(Buffer.concat(chunks));
    this.mails.push({ messageId, to: to.join(', '), subject });
  }
}
