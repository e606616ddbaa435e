import { Controller, Inject } from '@nestjs/common';
import { SendSms } from '#libs/contracts';
import { backoff, ConsumeBatch, type Delivery } from '#libs/messaging';
import { deliverOnce } from '../deliveries/deliver-once.js';
import { DeliveryStore } from '../deliveries/delivery-store.js';
import { MAX_AT_ONCE, SMS_PROVIDER, type TextProvider } from '../deliveries/text-provider.js';
import { commandIdOf } from '../domain/addresses.js';

@Controller()
export class SendSmsConsumer {
  constructor(
    private readonly deliveries: DeliveryStore,
    @Inject(SMS_PROVIDER) private readonly provider: TextProvider,
  ) {}

  @ConsumeBatch(SendSms, {
    group: 'notification.sms',
    maxBatchMessages: 200,
    retry: backoff({ attempts: 10, firstDelayMs: 500 }),
  })
  async handle(batch: readonly Delivery<SendSms>[]): Promise<void> {
    await deliverOnce(this.deliveries, batch, {
      channel: 'sms',
      maxAtOnce: MAX_AT_ONCE,
      send: ({ subjectId, kind, to, text }) =>
        this.provider.send({ to, text, reference: commandIdOf(subjectId, kind, 'sms') }),
    });
  }
}
