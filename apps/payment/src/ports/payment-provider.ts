import type { PaymentWebhook } from '#libs/contracts';

/** Injection token of the `PaymentProvider`. */
export const PAYMENT_PROVIDER = Symbol('PAYMENT_PROVIDER');

/** What the provider's own book says of a checkout. `REFUNDED`: it was captured, and all of it went back. */
export type ProviderIntent = {
  status: 'OPEN' | 'CAPTURED' | 'DECLINED' | 'REFUNDED';
  amountMinor: number;
  currency: string;
  /** When the money was captured (ISO 8601), where the provider tells. */
  capturedAt?: string | undefined;
};

/** An event of the provider's list, with its place there; what it says is what its webhook says, undefined when that cannot be read. */
export type ProviderEvent = { place: string; webhook?: PaymentWebhook | undefined };

/**
 * Who moves the money. Outcomes of calls are not in here: they come by webhook, because an answer can be
 * lost and a webhook is repeated until it was taken. Who has not heard for long may ask.
 *
 * Every call throws `PAYMENT_PROVIDER_UNAVAILABLE` when it is not known what became of it.
 */
export interface PaymentProvider {
  /** Prepares a checkout. Repeating it under the same reference gives the same intent. */
  createIntent(intent: {
    /** Our payment id; the provider's webhooks name it. */
    reference: string;
    amountMinor: number;
    currency: string;
  }): Promise<{ intentId: string }>;
  /** How an intent stands now. */
  intent(intentId: string): Promise<ProviderIntent>;
  /** Refunds and disputes that it has told of, oldest first: at most a hundred, behind `after` when that is given. */
  events(after: string | undefined): Promise<ProviderEvent[]>;
  /** Sends all of the money back. Repeating it under the same key has no second effect. */
  refund(refund: { intentId: string; idempotencyKey: string }): Promise<void>;
}
