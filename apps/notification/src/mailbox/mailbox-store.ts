import { Injectable } from '@nestjs/common';
import { PrismaClient } from '#prisma/notification';

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

/**
 * Writes mails in batches: those that arrive while a batch is being written make up the next one. Each
 * `add` resolves when its mail is stored, so an SMTP client is told OK for what is safe and nothing else.
 */
@Injectable()
export class MailboxStore {
  private waiting: { mail: ReceivedMail; stored: () => void; failed: (error: unknown) => void }[] = [];
  private writing = false;

  constructor(private readonly prisma: PrismaClient) {}

  /** A mail whose Message-ID is there already is the same mail, and changes nothing. */
  add(mail: ReceivedMail): Promise<void> {
    return new Promise((stored, failed) => {
      this.waiting.push({ mail, stored, failed });
      if (!this.writing) void this.write();
    });
  }

  private async write(): Promise<void> {
    this.writing = true;
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, MAX_BATCH_MAILS);
      try {
        await this.insert(batch.map(({ mail }) => mail));
        for (const { stored } of batch) stored();
      } catch (error) {
        // Each sender hears of it and keeps the mail for another try.
        for (const { failed } of batch) failed(error);
      }
    }
    this.writing = false;
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
