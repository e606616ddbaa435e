import { MessagingError, type TopicLimit } from '#libs/messaging/port';

/** @throws {MessagingError} `INVALID_ARGUMENT` */
export function checkLimit(topic: string, limit: TopicLimit): void {
  const { maxMessages, maxBytes, whenFull } = limit;
  for (const [name, value] of Object.entries({ maxMessages, maxBytes })) {
    if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) continue;
    throw new MessagingError('INVALID_ARGUMENT', `topic ${topic}: ${name} is a whole number from 1`);
  }
  if (whenFull !== undefined && whenFull !== 'reject' && whenFull !== 'dead-letter') {
    throw new MessagingError(
      'INVALID_ARGUMENT',
      `topic ${topic}: whenFull is reject or dead-letter, not ${String(whenFull)}`,
    );
  }
}
