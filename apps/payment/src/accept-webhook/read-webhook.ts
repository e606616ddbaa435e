import { z } from 'zod';
import { PaymentWebhook } from '#libs/contracts';
import type { Anomaly } from './webhook-anomalies.js';

const field = z.string().optional().catch(undefined);
/** Whatever can be read of any event. */
const AnyEvent = z.object({ eventId: field, type: field, paymentId: field }).catch({});

export type ReadWebhook = { webhook: PaymentWebhook } | { anomaly: Anomaly };

/**
 * What a genuine webhook is about. A provider adds types, fields and products without asking; whatever does
 * not concern us must be taken all the same, because it is sent again until it is.
 */
export function readWebhook(text: string): ReadWebhook {
  const body = parse(text);
  const known = PaymentWebhook.safeParse(body);
  if (known.success) return { webhook: known.data };
  const event = AnyEvent.parse(body);
  const isKnownType = PaymentWebhook.shape.type.safeParse(event.type).success;
  const isOurId = PaymentWebhook.shape.paymentId.safeParse(event.paymentId).success;
  const kind =
    event.type !== undefined && !isKnownType
      ? 'unknown-type'
      : isKnownType && event.paymentId !== undefined && !isOurId
        ? 'foreign-payment'
        : 'unreadable';
  return { anomaly: { ...event, kind, body: text } };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // What cannot be parsed is recorded like what cannot be understood.
    return undefined;
  }
}
