import { Controller, Get } from '@nestjs/common';
import { Roles, ZodQuery } from '#libs/service-kit';
import { ReadMailbox, ReadMailboxQuery, type MailboxEntry } from './read-mailbox.js';

@Controller('api/ops/mailbox')
@Roles('admin')
export class MailboxController {
  constructor(private readonly readMailbox: ReadMailbox) {}

  @Get()
  read(@ZodQuery(ReadMailboxQuery) query: ReadMailboxQuery): Promise<{ items: MailboxEntry[] }> {
    return this.readMailbox.execute(query);
  }
}
