import { Injectable } from '@nestjs/common';
import { PrismaClient } from '#prisma/ops';

/** Who did what to the broker. Dead letters are audited in the transaction that resolves them. */
@Injectable()
export class AuditLog {
  constructor(private readonly prisma: PrismaClient) {}

  async note(entry: { actor: string; action: string; subject: string; detail: string }): Promise<void> {
    await this.prisma.auditEntry.create({ data: entry });
  }
}
