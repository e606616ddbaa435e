import type { Delivery as Incoming } from '#libs/messaging';
import type { Channel } from '../domain/notifications.js';
import type { Delivery, DeliveryStore } from './delivery-store.js';

type Sending<D> = {
  channel: Channel;
  /** Sends under way at the same moment. */
  maxAtOnce: number;
  send: (delivery: D) => Promise<void>;
};

/**
 * Sends what has not been sent: PENDING → send → SENT, each on its own, so that a crash in the middle of a
 * batch repeats what was under way and nothing else.
 *
 * Effects outside of the database cannot be exactly once. A crash between the send and SENT sends
 * again, under the same id towards the provider, which is what lets the receiver drop the repeat; the
 * other way round (SENT before the send) a crash would lose the notification. For the same reason nothing is
 * begun whose lease was lost meanwhile: its new owner is at it.
 *
 * @throws what `send` threw, for a batch of one; an `AggregateError` when some of several failed. The
 *   others are SENT and stay out of the retry.
 */
export async function deliverOnce<D extends Delivery>(
  store: DeliveryStore,
  batch: readonly Pick<Incoming<D>, 'payload' | 'signal'>[],
  { channel, maxAtOnce, send }: Sending<D>,
): Promise<void> {
  const signals = new Map(batch.map(({ payload, signal }) => [payload, signal]));
  const waiting = await store.open(channel, [...signals.keys()]);
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    for (let delivery = waiting.shift(); delivery !== undefined; delivery = waiting.shift()) {
      if (signals.get(delivery)?.aborted === true) continue;
      try {
        await send(delivery);
        await store.close(channel, delivery);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(maxAtOnce, waiting.length) }, lane));
  if (failures.length === 0) return;
  // Alone, the failure keeps its kind: that decides whether the message is retried or dead-lettered.
  if (batch.length === 1) throw failures[0];
  throw new AggregateError(failures, `${failures.length} of ${batch.length} by ${channel} failed`);
}
