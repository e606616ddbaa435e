import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { PrismaClient } from '#prisma/notification';

export const ReadMailboxQuery = z.strictObject({
  /** A mail address, a phone, or a buyer's id; exactly as it was sent to. */
  to: z.string().max(320).optional(),
  channel: z.enum(['email', 'sms', 'push']).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(50),
});
export type ReadMailboxQuery = z.output<typeof ReadMailboxQuery>;

/** Something a buyer was sent. */
export type MailboxEntry = {
  channel: string;
  recipient: string;
  /** Absent for SMS and push. */
  subject?: string;
  text: string;
  /** The mail's Message-ID, or the delivery's id. */
  id: string;
  /** Order number or id of a sign-in code; absent for mails, which only know what SMTP carried. */
  subjectId?: string;
  kind?: string;
  status: string;
  at: string;
};

/** What arrived in the local mailbox, beside what went out by SMS and push. */
@Injectable()
export class ReadMailbox {
  constructor(private readonly prisma: PrismaClient) {}

  /** Newest first. */
  async execute({ to, channel, limit }: ReadMailboxQuery): Promise<{ items: MailboxEntry[] }> {
    const sentTo = to === undefined ? {} : { recipient: to };
    const [mails, deliveries] = await Promise.all([
      channel === undefined || channel === 'email'
        ? this.prisma.mail.findMany({ where: sentTo, orderBy: { receivedAt: 'desc' }, take: limit })
        : [],
      channel === 'email'
        ? []
        : this.prisma.delivery.findMany({
            where: { ...sentTo, channel: { in: channel === undefined ? ['sms', 'push'] : [channel] } },
            orderBy: { createdAt: 'desc' },
            take: limit,
          }),
    ]);
    const entries: MailboxEntry[] = [
      ...mails.map((mail) => ({
        channel: 'email',
        recipient: mail.recipient,
        subject: mail.subject,
        text: mail.text,
        id: mail.messageId,
        status: 'RECEIVED',
        at: mail.receivedAt.toISOString(),
      })),
      ...deliveries.map(({ channel, recipient, text, id, subjectId, kind, status, createdAt }) => ({
        channel,
        recipient,
        text,
        id,
        subjectId,
        kind,
        status,
        at: createdAt.toISOString(),
      })),
    ];
    entries.sort((one, other) => other.at.localeCompare(one.at));
    return { items: entries.slice(0, limit) };
  }
}
