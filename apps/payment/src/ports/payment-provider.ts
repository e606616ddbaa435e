/** Injection token of the `PaymentProvider`. */
export const PAYMENT_PROVIDER = Symbol('PAYMENT_PROVIDER');

/**
 * Who moves the money. Outcomes are not in here: they come by webhook only, because an answer can be
 * lost and a webhook is repeated until it was taken.
 */
export interface PaymentProvider {
  /** Prepares a checkout. Repeating it under the same reference gives the same intent. */
  createIntent(intent: {
    /** Our payment id; the provider's webhooks name it. */
    reference: string;
    amountMinor: number;
    currency: string;
  }): Promise<{ intentId: string }>;
  /** Sends all of the money back. Repeating it under the same key has no second effect. */
  refund(refund: { intentId: string; idempotencyKey: string }): Promise<void>;
}
