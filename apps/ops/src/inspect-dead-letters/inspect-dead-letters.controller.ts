import { Controller, Get, Param } from '@nestjs/common';
import { ListDeadLettersQuery, type DeadLetterPage, type DeadLetterView } from '#libs/contracts';
import { Roles, ZodQuery } from '#libs/service-kit';
import { DeadLetterStore } from '../collect-dead-letters/dead-letter-store.js';
import { deadLetterNotFound } from '../domain/errors.js';
import { toSummary, toView } from './dead-letter-view.js';

@Controller('api/ops/dead-letters')
@Roles('admin')
export class InspectDeadLettersController {
  constructor(private readonly store: DeadLetterStore) {}

  @Get()
  async list(@ZodQuery(ListDeadLettersQuery) query: ListDeadLettersQuery): Promise<DeadLetterPage> {
    const { rows, nextCursor } = await this.store.page(query);
    return { items: rows.map(toSummary), ...(nextCursor === undefined ? {} : { nextCursor }) };
  }

  @Get(':id')
  async show(@Param('id') id: string): Promise<DeadLetterView> {
    const row = await this.store.find(id);
    if (row === null) throw deadLetterNotFound(id);
    return toView(row);
  }
}
