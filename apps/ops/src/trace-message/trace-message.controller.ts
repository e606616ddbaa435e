import { Controller, Get, Inject, Param } from '@nestjs/common';
import { BROKER_PORT, type BrokerPort, type TraceEvent } from '#libs/messaging';
import { Roles } from '#libs/service-kit';

type TraceView = { messageId: string; steps: (Omit<TraceEvent, 'atMs'> & { at: string })[] };

@Controller('api/ops/messages')
@Roles('admin')
export class TraceMessageController {
  constructor(@Inject(BROKER_PORT) private readonly broker: BrokerPort) {}

  /** Oldest first; no steps when the broker does not know the message, or no longer. */
  @Get(':id/trace')
  async trace(@Param('id') messageId: string): Promise<TraceView> {
    const steps = await this.broker.admin.trace(messageId);
    return {
      messageId,
      steps: steps.map(({ atMs, ...step }) => ({ at: new Date(atMs).toISOString(), ...step })),
    };
  }
}
