import { Controller, Get, Inject, Param } from '@nestjs/common';
import { MessagesQuery, type MessageTraceView, type MessagesView } from '#libs/contracts';
import { BROKER_PORT, MessagingError, type BrokerPort, type TraceEvent } from '#libs/messaging';
import { Roles, ZodQuery } from '#libs/service-kit';

@Controller('api/ops/messages')
@Roles('admin')
export class TraceMessageController {
  constructor(@Inject(BROKER_PORT) private readonly broker: BrokerPort) {}

  /** The newest messages of a key, oldest first, each with its life; none of a topic that is not there. */
  @Get()
  async ofKey(@ZodQuery(MessagesQuery) { key, topic }: MessagesQuery): Promise<MessagesView> {
    const traces = await this.broker.admin.traceByKey(key, topic).catch((error: unknown) => {
      if (error instanceof MessagingError && error.code === 'UNKNOWN_TOPIC') return [];
      throw error;
    });
    return {
      items: traces.map(({ storedAtMs, events, ...message }) => ({
        ...message,
        storedAt: new Date(storedAtMs).toISOString(),
        steps: events.map(toStep),
      })),
    };
  }

  /** Oldest first; no steps when the broker does not know the message, or no longer. */
  @Get(':id/trace')
  async trace(@Param('id') messageId: string): Promise<MessageTraceView> {
    return { messageId, steps: (await this.broker.admin.trace(messageId)).map(toStep) };
  }
}

const toStep = ({ atMs, ...step }: TraceEvent): MessageTraceView['steps'][number] => ({
  at: new Date(atMs).toISOString(),
  ...step,
});
