import { MessagingError } from './errors.js';
import type { SendReceipt } from './message.js';

/**
 * Receipts of messages that are as durable as their topics promise.
 * @throws {MessagingError} `FLUSH_TIMEOUT` when that is not known of one: who takes it for sent may find it gone after a power cut
 */
export function confirmed(receipts: SendReceipt[]): SendReceipt[] {
  const unsure = receipts.filter(({ status }) => status === 'FLUSH_TIMEOUT');
  const [first] = unsure;
  if (first === undefined) return receipts;
  const which = unsure.length === 1 ? first.messageId : `${first.messageId} and ${unsure.length - 1} more`;
  throw new MessagingError(
    'FLUSH_TIMEOUT',
    `${first.topic}: ${which} stored, not known to be on disk yet; a repeat under the same id tells`,
  );
}
