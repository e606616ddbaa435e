import { MessagingError, checkTopicName, deadLetterTopic, retryTopic } from '#libs/messaging/port';

const INTERNAL = /^%(DLQ|RETRY)%([A-Za-z0-9._-]{1,128})$/;
const GROUP = /^[A-Za-z0-9._-]{1,128}$/;
const RESERVED = /^(DLQ\.|RETRY\.|__)/;

/** Topics of Kafka's own and of this library, which no user of the port sees. */
export const AUDIT_TOPIC = '__stampede_audit';

/**
 * What a topic is called in Kafka, whose names have no percent sign: `%DLQ%stock.confirm` is `DLQ.stock.confirm`.
 * @throws {MessagingError} `INVALID_ARGUMENT`
 */
export function kafkaTopicOf(topic: string): string {
  const [, kind, group] = INTERNAL.exec(topic) ?? [];
  if (kind !== undefined) return `${kind}.${group}`;
  checkTopicName(topic);
  if (!RESERVED.test(topic)) return topic;
  throw new MessagingError(
    'INVALID_ARGUMENT',
    `topic ${topic}: names that begin with DLQ., RETRY. or __ are taken`,
  );
}

/** Its name in the port; undefined for what no user sees. */
export function topicOf(kafkaTopic: string): string | undefined {
  if (kafkaTopic.startsWith('DLQ.')) return deadLetterTopic(kafkaTopic.slice(4));
  if (kafkaTopic.startsWith('RETRY.')) return retryTopic(kafkaTopic.slice(6));
  return kafkaTopic.startsWith('__') ? undefined : kafkaTopic;
}

export const isInternal = (topic: string): boolean => topic.startsWith('%');

/** @throws {MessagingError} `INVALID_ARGUMENT` */
export function checkGroupName(group: string): void {
  if (typeof group === 'string' && GROUP.test(group) && !RESERVED.test(group)) return;
  const detail = `group ${JSON.stringify(group)}: 1 to 128 letters, digits, dots, underscores or dashes are allowed`;
  throw new MessagingError('INVALID_ARGUMENT', detail);
}
