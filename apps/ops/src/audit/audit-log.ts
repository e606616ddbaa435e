import { Injectable } from '@nestjs/common';
import type { AuditPage, ListAuditQuery } from '#libs/contracts';
import { PrismaClient } from '#prisma/ops';
import { invalidCursor } from '../domain/errors.js';

/** Who did what to the broker. Dead letters are audited in the transaction that resolves them. */
@Injectable()
export class AuditLog {
  constructor(private readonly prisma: PrismaClient) {}

  async note(entry: { actor: string; action: string; subject: string; detail: string }): Promise<void> {
    await this.prisma.auditEntry.create({ data: entry });
  }

  /**
   * Newest first.
   * @throws {DomainError} `INVALID_REQUEST` for a cursor that no page gave.
   */
  async page({ cursor, limit }: ListAuditQuery): Promise<AuditPage> {
    const entries = await this.prisma.auditEntry.findMany({
      ...(cursor === undefined ? {} : { where: { id: { lt: idFrom(cursor) } } }),
      orderBy: { id: 'desc' },
      take: limit + 1,
    });
    const page = entries.slice(0, limit);
    const last = page.at(-1);
    return {
      items: page.map(({ id, at, ...entry }) => ({ ...entry, id: String(id), at: at.toISOString() })),
      ...(entries.length > limit && last !== undefined ? { nextCursor: cursorAt(last.id) } : {}),
    };
  }
}

const cursorAt = (id: bigint): string => Buffer.from(`audit:${id}`).toString('base64url');

function idFrom(cursor: string): bigint {
  const [, id] = /^audit:(\d{1,18})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (id === undefined) throw invalidCursor();
  return BigInt(id);
}
