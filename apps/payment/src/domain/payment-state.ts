export type PaymentStatus = 'PENDING' | 'SUCCEEDED' | 'FAILED';
export type RefundStatus = 'REQUESTED' | 'SUCCEEDED';
export type WebhookType = 'payment.succeeded' | 'payment.failed' | 'refund.succeeded';

/** What a webhook meets. `refund` is undefined when we have not asked for one. */
export type PaymentState = { payment: PaymentStatus; refund: RefundStatus | undefined };

/**
 * `capture`, `decline`, `refunded`: change the row and tell the others. `nothing`: the news is old.
 * `not-asked-for`: a refund that we do not know of (yet).
 */
export type WebhookEffect = 'capture' | 'decline' | 'refunded' | 'nothing' | 'not-asked-for';

/**
 * What a webhook means, whatever order they arrive in. Captured money is a fact and outranks a
 * decline: a buyer whose first card was declined may pay with a second one at the same checkout, and the
 * two webhooks may overtake each other. Whatever is captured must end as a paid order or a refund.
 */
export function effectOf(state: PaymentState, type: WebhookType): WebhookEffect {
  switch (type) {
    case 'payment.succeeded':
      return state.payment === 'SUCCEEDED' ? 'nothing' : 'capture';
    case 'payment.failed':
      return state.payment === 'PENDING' ? 'decline' : 'nothing';
    case 'refund.succeeded':
      if (state.refund === undefined) return 'not-asked-for';
      return state.refund === 'REQUESTED' ? 'refunded' : 'nothing';
  }
}
