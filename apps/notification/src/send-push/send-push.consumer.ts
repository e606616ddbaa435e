import { Controller, Inject } from '@nestjs/common';
import { SendPush } from '#libs/contracts';
import { backoff, ConsumeBatch, type Delivery } from '#libs/messaging';
import { deliverOnce } from '../deliveries/deliver-once.js';
import { DeliveryStore } from '../deliveries/delivery-store.js';
import { MAX_AT_ONCE, PUSH_PROVIDER, type TextProvider } from '../deliveries/text-provider.js';
import { commandIdOf } from '../domain/addresses.js';

@Controller()
export class SendPushConsumer {
  constructor(
    private readonly deliveries: DeliveryStore,
    @Inject(PUSH_PROVIDER) private readonly provider: TextProvider,
  ) {}

  @ConsumeBatch(SendPush, {
    group: 'notification.push',
    maxBatchMessages: 200,
    retry: backoff({ attempts: 10, firstDelayMs: 500 }),
  })
  async handle(batch: readonly Delivery<SendPush>[]): Promise<void> {
    await deliverOnce(this.deliveries, batch, {
      channel: 'push',
      maxAtOnce: MAX_AT_ONCE,
      send: ({ subjectId, kind, to, text }) =>
        this.provider.send({ to, text, reference: commandIdOf(subjectId, kind, 'push') }),
    });
  }
}
