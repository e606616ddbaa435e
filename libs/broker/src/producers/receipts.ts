import type { SendReceipt } from '#libs/messaging/port';
import type { Partition, Topic } from '../topics/topics.js';

/** In place of a partition and an offset: the message waits for its time, or its topic was full. */
const NOWHERE = -1;

/** `partition` is undefined when the message waits in the timers first. */
export const storedReceipt = (
  messageId: string,
  topic: Topic,
  partition: Partition | undefined,
  offset: number,
  duplicate = false,
): SendReceipt => ({
  status: 'SEND_OK',
  messageId,
  topic: topic.name,
  partition: partition ? partition.number : NOWHERE,
  offset: partition ? offset : NOWHERE,
  duplicate,
});

/** Of a message whose topic was full, and that is among its groups' dead letters instead. */
export const overflowReceipt = (messageId: string, topic: string, duplicate: boolean): SendReceipt => ({
  status: 'DEAD_LETTERED',
  messageId,
  topic,
  partition: NOWHERE,
  offset: NOWHERE,
  duplicate,
});
