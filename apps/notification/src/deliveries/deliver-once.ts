import type { Channel } from '../domain/notifications.js';
import type { Delivery, DeliveryStore } from './delivery-store.js';

/**
 * Sends what has not been sent: PENDING → send → SENT.
 *
 * Effects outside of the database cannot be exactly once. A crash between the send and SENT sends
 * again, under the same id towards the provider, which is what lets the receiver drop the repeat; the
 * other way round (SENT before the send) a crash would lose the notification.
 *
 * @throws what `send` threw, for a batch of one; an `AggregateError` when some of several failed. The
 *   others are SENT and stay out of the retry.
 */
export async function deliverOnce<D extends Delivery>(
  store: DeliveryStore,
  channel: Channel,
  deliveries: readonly D[],
  send: (delivery: D) => Promise<void>,
): Promise<void> {
  const due = await store.open(channel, deliveries);
  const outcomes = await Promise.allSettled(due.map(send));
  await store.close(
    channel,
    due.filter((_delivery, index) => outcomes[index]?.status === 'fulfilled'),
  );
  const failures = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [outcome.reason as unknown] : [],
  );
  if (failures.length === 0) return;
  // Alone, the failure keeps its kind: that decides whether the message is retried or dead-lettered.
  if (deliveries.length === 1) throw failures[0];
  throw new AggregateError(failures, `${failures.length} of ${due.length} by ${channel} failed`);
}
