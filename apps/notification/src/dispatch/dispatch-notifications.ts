import { Injectable } from '@nestjs/common';
import { SendEmail, SendPush, SendSms } from '#libs/contracts';
import { envelope, MessageBus, type Envelope } from '#libs/messaging';
import { commandIdOf, emailOf } from '../domain/addresses.js';
import type { Channel, Notification } from '../domain/notifications.js';

/**
 * Turns each notification into one command per channel, so that a channel that is down (its group
 * retries) keeps no other waiting. The commands' ids depend on nothing but the notification: running
 * twice, for a message that came twice, sends them once.
 */
@Injectable()
export class DispatchNotifications {
  constructor(private readonly bus: MessageBus) {}

  /** All in one send. Undefined is nothing to be said. */
  async execute(notifications: readonly (Notification | undefined)[]): Promise<void> {
    await this.bus.sendBatch(
      notifications.flatMap(
        (notification) => notification?.channels.map((channel) => commandOf(notification, channel)) ?? [],
      ),
    );
  }
}

function commandOf(notification: Notification, channel: Channel): Envelope {
  const { subjectId, kind, to, subject, text } = notification;
  const options = { id: commandIdOf(subjectId, kind, channel) };
  switch (channel) {
    case 'sms':
      return envelope(SendSms, { subjectId, kind, to, text }, options);
    case 'push':
      return envelope(SendPush, { subjectId, kind, to, text }, options);
    case 'email':
      return envelope(SendEmail, { subjectId, kind, to: emailOf(to), subject, text }, options);
  }
}
