import { Controller, Get, HttpCode, Post } from '@nestjs/common';
import { AcceptedOrders, VerdictQuery, type MissingOrders, type Verdict } from '#libs/contracts';
import { Roles, ZodBody, ZodQuery } from '#libs/service-kit';
import { GiveVerdict } from './give-verdict.js';
import { ReadLog } from './read-log.js';
import type { Demand } from './rules/stock-rules.js';

@Controller('api/ops/verdict')
@Roles('admin')
export class VerdictController {
  constructor(
    private readonly giveVerdict: GiveVerdict,
    private readonly readLog: ReadLog,
  ) {}

  /** 200 whether it holds or not: the question was answered. */
  @Get()
  verdict(@ZodQuery(VerdictQuery) { demand }: { demand?: string }): Promise<Verdict> {
    return this.giveVerdict.execute(demand === undefined ? undefined : demandFrom(demand));
  }

  /** What callers were told is known to them alone: which of the orders that were answered with 202 have no row. */
  @Post('accepted')
  @HttpCode(200)
  async accepted(@ZodBody(AcceptedOrders) { orderNos }: AcceptedOrders): Promise<MissingOrders> {
    return { missing: await this.readLog.withoutRow(orderNos) };
  }
}

/** `<ticketTypeId>:<tickets>[:<epoch ms>]`, in the form that `VerdictQuery` has checked. */
function demandFrom(text: string): Demand {
  const [ticketTypeId = '', tickets, lastSoldOutAtMs] = text.split(':');
  return {
    ticketTypeId,
    tickets: Number(tickets),
    lastSoldOutAtMs: lastSoldOutAtMs === undefined ? undefined : Number(lastSoldOutAtMs),
  };
}
