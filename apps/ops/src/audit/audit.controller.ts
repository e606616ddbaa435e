import { Controller, Get } from '@nestjs/common';
import { ListAuditQuery, type AuditPage } from '#libs/contracts';
import { Roles, ZodQuery } from '#libs/service-kit';
import { AuditLog } from './audit-log.js';

@Controller('api/ops/audit')
@Roles('admin')
export class AuditController {
  constructor(private readonly audit: AuditLog) {}

  @Get()
  list(@ZodQuery(ListAuditQuery) query: ListAuditQuery): Promise<AuditPage> {
    return this.audit.page(query);
  }
}
