export type PaymentStatus = 'PENDING' | 'SUCCEEDED' | 'FAILED';
export type RefundStatus = 'REQUESTED' | 'SUCCEEDED';
export type WebhookType = 'payment.succeeded' | 'payment.failed' | 'refund.succeeded' | 'dispute.opened';

type Money = { amountMinor: number; currency: string };
/** What a webhook meets. `refund` is undefined when we have not asked for one. */
export type PaymentState = Money & { payment: PaymentStatus; refund: RefundStatus | undefined };
export type WebhookFact = Money & { type: WebhookType };

/**
 * What is odd about a genuine webhook, so that an operator should know:
 *
 * - `amount-differs`: another amount or currency than the payment's. No ticket is given for it.
 * - `refund-by-provider`: all of it was sent back, and nobody here had asked for that; the order follows.
 * - `partial-refund`: a part was sent back; the tickets stay until all is.
 * - `dispute`: the buyer's bank wants the money back; whether it gets it is decided elsewhere, and later.
 * - `foreign-payment`: of a payment that this shop never made.
 * - `unknown-type`: an event that nobody here needs to know. Counted, no alarm.
 * - `unreadable`: of a type that we know, and not as we know it.
 */
export const ANOMALY_KINDS = [
  'amount-differs',
  'refund-by-provider',
  'partial-refund',
  'dispute',
  'foreign-payment',
  'unknown-type',
  'unreadable',
] as const;
export type AnomalyKind = (typeof ANOMALY_KINDS)[number];

/**
 * `capture`, `decline`, `refunded`: change the row and tell the others. `nothing`: the news is old.
 * `refunded-by-provider`: the same without our having asked. `too-early`: a refund of money of which we have
 * not heard yet. An anomaly is recorded and changes nothing.
 */
export type WebhookEffect =
  | 'capture'
  | 'decline'
  | 'refunded'
  | 'refunded-by-provider'
  | 'nothing'
  | 'too-early'
  | { anomaly: AnomalyKind };

/**
 * What a webhook means, whatever order they arrive in. Captured money is a fact and outranks a
 * decline: a buyer whose first card was declined may pay with a second one at the same checkout, and the
 * two webhooks may overtake each other. Whatever is captured must end as a paid order or a refund.
 */
export function effectOf(state: PaymentState, fact: WebhookFact): WebhookEffect {
  if (fact.type === 'dispute.opened') return { anomaly: 'dispute' };
  const isPart = fact.type === 'refund.succeeded' && fact.amountMinor < state.amountMinor;
  if (fact.currency !== state.currency || (fact.amountMinor !== state.amountMinor && !isPart)) {
    return { anomaly: 'amount-differs' };
  }
  if (isPart) return { anomaly: 'partial-refund' };
  switch (fact.type) {
    case 'payment.succeeded':
      return state.payment === 'SUCCEEDED' ? 'nothing' : 'capture';
    case 'payment.failed':
      return state.payment === 'PENDING' ? 'decline' : 'nothing';
    case 'refund.succeeded':
      if (state.refund !== undefined) return state.refund === 'REQUESTED' ? 'refunded' : 'nothing';
      return state.payment === 'SUCCEEDED' ? 'refunded-by-provider' : 'too-early';
  }
}
