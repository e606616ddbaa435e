import { z } from 'zod';
import { BuyerId, Currency, Minor, OrderNo, PaymentId } from '../values.js';

/** From the gateway to the payment service, after it has seen that the order waits for payment. */
export const CreatePaymentRequest = z.strictObject({
  orderNo: OrderNo,
  buyerId: BuyerId,
  amountMinor: Minor,
  currency: Currency,
});
export type CreatePaymentRequest = z.output<typeof CreatePaymentRequest>;

export const PaymentResponse = z.object({
  paymentId: PaymentId,
  checkoutUrl: z.url(),
  status: z.literal('PENDING'),
});
export type PaymentResponse = z.output<typeof PaymentResponse>;

/** What a buyer does at the simulated provider's checkout. */
export const CheckoutRequest = z.strictObject({
  outcome: z.enum(['succeed', 'fail']),
  /** Until the first webhook. Default 0, at most a day. */
  delayMs: z.int().min(0).max(86_400_000).default(0),
  /** How many more times the same webhook is sent. Default 0, at most 20. */
  duplicates: z.int().min(0).max(20).default(0),
});
export type CheckoutRequest = z.output<typeof CheckoutRequest>;

/** What the provider posts to the webhook, as far as we know it. Signed: see `PaymentWebhookHeaders`. */
export const PaymentWebhook = z.object({
  eventId: z.uuid(),
  type: z.enum(['payment.succeeded', 'payment.failed', 'refund.succeeded', 'dispute.opened']),
  /** The payment's id, which we gave the provider as our reference. */
  paymentId: PaymentId,
  /** What was captured or declined; of a refund or dispute its own amount, which may be a part. */
  amountMinor: Minor,
  currency: Currency,
  occurredAt: z.iso.datetime(),
});
export type PaymentWebhook = z.output<typeof PaymentWebhook>;

/**
 * `stampede-timestamp`: seconds since the epoch. `stampede-signature`: hex HMAC-SHA256 under
 * `PAYMENT_WEBHOOK_SECRET` over `<timestamp>.<raw body>`. Tolerance: five minutes either way.
 */
export const PaymentWebhookHeaders = {
  timestamp: 'stampede-timestamp',
  signature: 'stampede-signature',
} as const;
