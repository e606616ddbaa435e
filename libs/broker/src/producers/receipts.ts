import type { SendReceipt } from '#libs/messaging/port';
import { NOWHERE } from '../topics/record.js';
import type { Topic } from '../topics/topics.js';

export const storedReceipt = (
  messageId: string,
  topic: Topic,
  partition: number,
  offset: number,
): SendReceipt => ({
  status: 'SEND_OK',
  messageId,
  topic: topic.name,
  partition,
  offset,
  duplicate: false,
});

/** Of a message that waits in the timers first, or that was taken back before it could. */
export const waitingReceipt = (messageId: string, topic: Topic): SendReceipt => ({
  status: 'SEND_OK',
  messageId,
  topic: topic.name,
  ...NOWHERE,
  duplicate: false,
});

/** Of a message whose topic was full, and that is among its groups' dead letters instead. */
export const overflowReceipt = (messageId: string, topic: string): SendReceipt => ({
  status: 'DEAD_LETTERED',
  messageId,
  topic,
  ...NOWHERE,
  duplicate: false,
});
