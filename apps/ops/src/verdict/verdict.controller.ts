import { Controller, Get } from '@nestjs/common';
import { VerdictQuery, type Verdict } from '#libs/contracts';
import { Roles, ZodQuery } from '#libs/service-kit';
import { GiveVerdict } from './give-verdict.js';
import type { Demand } from './snapshot.js';

@Controller('api/ops/verdict')
@Roles('admin')
export class VerdictController {
  constructor(private readonly giveVerdict: GiveVerdict) {}

  /** 200 whether it holds or not: the question was answered. */
  @Get()
  verdict(@ZodQuery(VerdictQuery) { demand }: { demand?: string }): Promise<Verdict> {
    return this.giveVerdict.execute(demand === undefined ? undefined : demandFrom(demand));
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
