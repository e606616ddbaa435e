import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { PrismaClient } from '#prisma/notification';
import { Batcher } from '#libs/service-kit';
import type { Channel } from '../domain/notifications.js';

/** One notification on one channel. Subject, kind and channel name it. */
export type Delivery = { subjectId: string; kind: string; to: string; text: string };

const OPEN = `
  INSERT INTO deliveries (id, subject_id, kind, channel, recipient, text, status)
  SELECT id, subject_id, kind, $1, recipient, text, 'PENDING'
  FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[]) AS d (id, subject_id, kind, recipient, text)
  ON CONFLICT (subject_id, kind, channel) DO UPDATE SET status = deliveries.status
  WHERE deliveries.status = 'PENDING'
  RETURNING subject_id AS "subjectId", kind`;

const CLOSE = `
  UPDATE deliveries SET status = 'SENT', sent_at = now()
  FROM unnest($1::text[], $2::text[], $3::text[]) AS s (subject_id, kind, channel)
  WHERE deliveries.subject_id = s.subject_id AND deliveries.kind = s.kind
    AND deliveries.channel = s.channel AND deliveries.status = 'PENDING'`;
const MAX_CLOSED_AT_ONCE = 200;

type Sent = { channel: Channel; subjectId: string; kind: string };

/** What was sent, and what is being sent. One statement for many either way. */
@Injectable()
export class DeliveryStore {
  private readonly closes = new Batcher(MAX_CLOSED_AT_ONCE, (sent: readonly Sent[]) => this.closeAll(sent));

  constructor(private readonly prisma: PrismaClient) {}

  /**
   * Records that these are about to be sent and returns those that are to be: the new ones, and those
   * that an earlier try left PENDING when it died. What is SENT is left out.
   */
  async open<D extends Delivery>(channel: Channel, deliveries: readonly D[]): Promise<D[]> {
    // One statement must not meet one row twice.
    const distinct = new Map(deliveries.map((delivery) => [nameOf(delivery), delivery]));
    const batch = [...distinct.values()];
    const open = await this.prisma.$queryRawUnsafe<{ subjectId: string; kind: string }[]>(
      OPEN,
      channel,
      batch.map(() => randomUUID()),
      batch.map((delivery) => delivery.subjectId),
      batch.map((delivery) => delivery.kind),
      batch.map((delivery) => delivery.to),
      batch.map((delivery) => delivery.text),
    );
    const names = new Set(open.map(nameOf));
    return batch.filter((delivery) => names.has(nameOf(delivery)));
  }

  /** Notes that this one is sent. Those that are sent at the same time share a statement. */
  async close(channel: Channel, { subjectId, kind }: Delivery): Promise<void> {
    await this.closes.add({ channel, subjectId, kind });
  }

  private async closeAll(sent: readonly Sent[]): Promise<undefined[]> {
    await this.prisma.$executeRawUnsafe(
      CLOSE,
      sent.map((each) => each.subjectId),
      sent.map((each) => each.kind),
      sent.map((each) => each.channel),
    );
    return sent.map(() => undefined);
  }
}

const nameOf = ({ subjectId, kind }: { subjectId: string; kind: string }): string => `${kind}:${subjectId}`;
