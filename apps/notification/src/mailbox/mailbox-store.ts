import { Injectable } from '@nestjs/common';
import { PrismaClient } from '#prisma/notification';
import { Batcher } from '#libs/service-kit';

export type ReceivedMail = {
  messageId: string;
  sender: string;
  recipient: string;
  subject: string;
  text: string;
  html: string | undefined;
};

const INSERT = `
  INSERT INTO mailbox (message_id, sender, recipient, subject, text, html)
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
  ON CONFLICT (message_id) DO NOTHING`;
const MAX_BATCH_MAILS = 200;

/** Writes mails in batches. Each `add` resolves when its mail is stored, so an SMTP client is told OK for what is safe and nothing else. */
@Injectable()
export class MailboxStore {
  private readonly inserts = new Batcher<ReceivedMail, undefined>(MAX_BATCH_MAILS, async (mails) => {
    await this.insert(mails);
    return mails.map(() => undefined);
  });

  constructor(private readonly prisma: PrismaClient) {}

  /** A mail whose Message-ID is there already is the same mail, and changes nothing. When it rejects, the sender keeps the mail for another try. */
  add(mail: ReceivedMail): Promise<void> {
    return this.inserts.add(mail);
  }

  private async insert(mails: readonly ReceivedMail[]): Promise<void> {
    await this.prisma.$executeRawUnsafe(
      INSERT,
      mails.map((mail) => mail.messageId),
      mails.map((mail) => mail.sender),
      mails.map((mail) => mail.recipient),
      mails.map((mail) => mail.subject),
      mails.map((mail) => mail.text),
      mails.map((mail) => mail.html ?? null),
    );
  }
}
