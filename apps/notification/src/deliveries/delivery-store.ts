import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { PrismaClient } from '#prisma/notification';
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
  FROM unnest($2::text[], $3::text[]) AS s (subject_id, kind)
  WHERE deliveries.subject_id = s.subject_id AND deliveries.kind = s.kind
    AND deliveries.channel = $1 AND deliveries.status = 'PENDING'`;

/** What was sent, and what is being sent. One statement per batch either way. */
@Injectable()
export class DeliveryStore {
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

  async close(channel: Channel, deliveries: readonly Delivery[]): Promise<void> {
    if (deliveries.length === 0) return;
    await this.prisma.$executeRawUnsafe(
      CLOSE,
      channel,
      deliveries.map((delivery) => delivery.subjectId),
      deliveries.map((delivery) => delivery.kind),
    );
  }
}

const nameOf = ({ subjectId, kind }: { subjectId: string; kind: string }): string => `${kind}:${subjectId}`;
