import { Controller, Get, HttpCode, Inject, Param, Post } from '@nestjs/common';
import { ResetGroupRequest } from '#libs/contracts';
import { BROKER_PORT, MessagingError, type BrokerPort, type GroupInfo } from '#libs/messaging';
import { CurrentUser, Roles, ZodBody, type User, HttpProblem } from '#libs/service-kit';
import { AuditLog } from '../audit/audit-log.js';
import { groupNotFound } from '../domain/errors.js';

@Controller('api/ops/groups')
@Roles('admin')
export class GroupsController {
  constructor(
    @Inject(BROKER_PORT) private readonly broker: BrokerPort,
    private readonly audit: AuditLog,
  ) {}

  /** Every group by name, with its lag, members, messages in flight, retries and dead letters. */
  @Get()
  async list(): Promise<GroupInfo[]> {
    const groups = await this.broker.admin.groups();
    return groups.sort((left, right) => (left.group < right.group ? -1 : 1));
  }

  /** Noted before it is done: a replay that nobody can account for is worse than a note of one that failed. */
  @Post(':group/reset')
  @HttpCode(202)
  async reset(
    @Param('group') group: string,
    @ZodBody(ResetGroupRequest) { to }: ResetGroupRequest,
    @CurrentUser() user: User,
  ): Promise<{ group: string; to: ResetGroupRequest['to'] }> {
    const groups = await this.broker.admin.groups();
    if (!groups.some((known) => known.group === group)) throw groupNotFound(group);
    await this.audit.note({
      actor: user.userId,
      action: 'group.reset',
      subject: group,
      detail: JSON.stringify(to),
    });
    try {
      await this.broker.admin.resetGroup(group, to);
    } catch (error) {
      if (error instanceof MessagingError && error.code === 'UNKNOWN_GROUP') throw groupNotFound(group);
      // A partition or a position that the group does not have.
      if (error instanceof MessagingError && error.code === 'INVALID_ARGUMENT') {
        throw new HttpProblem(400, 'INVALID_REQUEST', error.message, {}, { cause: error });
      }
      throw error;
    }
    return { group, to };
  }
}
