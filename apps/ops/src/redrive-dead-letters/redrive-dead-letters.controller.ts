import { Controller, Delete, HttpCode, Param, Patch, Post } from '@nestjs/common';
import { DeadLetterPatch, RedriveFilter, type DeadLetterView, type RedriveResponse } from '#libs/contracts';
import { CurrentUser, Roles, ZodBody, type User } from '#libs/service-kit';
import { toView } from '../inspect-dead-letters/dead-letter-view.js';
import { EditDeadLetter } from './edit-dead-letter.js';
import { RedriveDeadLetters } from './redrive-dead-letters.js';

@Controller('api/ops/dead-letters')
@Roles('admin')
export class RedriveDeadLettersController {
  constructor(
    private readonly redriveDeadLetters: RedriveDeadLetters,
    private readonly editDeadLetter: EditDeadLetter,
  ) {}

  @Post('redrive')
  @HttpCode(202)
  redriveAll(
    @ZodBody(RedriveFilter) filter: RedriveFilter,
    @CurrentUser() user: User,
  ): Promise<RedriveResponse> {
    return this.redriveDeadLetters.redriveAll(filter, user.userId);
  }

  @Patch(':id')
  async edit(
    @Param('id') id: string,
    @ZodBody(DeadLetterPatch) patch: DeadLetterPatch,
    @CurrentUser() user: User,
  ): Promise<DeadLetterView> {
    return toView(await this.editDeadLetter.execute(id, patch, user.userId));
  }

  @Post(':id/redrive')
  @HttpCode(202)
  async redrive(@Param('id') id: string, @CurrentUser() user: User): Promise<RedriveResponse> {
    await this.redriveDeadLetters.redrive(id, user.userId);
    return { count: 1, remaining: 0 };
  }

  @Delete(':id')
  @HttpCode(204)
  discard(@Param('id') id: string, @CurrentUser() user: User): Promise<void> {
    return this.redriveDeadLetters.discard(id, user.userId);
  }
}
