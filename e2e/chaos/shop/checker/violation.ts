import type { Report as BaseReport } from '../../violations.js';

/** Every way in which a shop can break its word. A closed list; a unit spec plants each. */
export const VIOLATIONS = {
  'lost-order': 'a buyer was told 202, and there is no order',
  'taken-back': 'a buyer was told 202, and the order was rejected',
  'second-order': 'one idempotency key, and two orders',
  'phantom-order': 'an order that nobody asked for, or that its buyer was refused',
  forgotten: 'an accepted order was answered with 404',
  'went-back': 'a buyer was told less than before, or something else',
  'impossible-history': 'an order went a way that there is not, or was left half-way',
  'cancel-undone': 'a buyer was told that the order is cancelled, and it is not',
  oversold: 'more tickets in buyers’ hands than there were',
  'over-limit': 'one buyer with more tickets than one may have',
  'stray-hold': 'tickets that are kept for nobody',
  'money-kept': 'captured at the provider, and neither ticket nor refund',
  'lost-payment': 'a checkout that was taken, and no capture at the provider',
  'phantom-payment': 'a capture that no buyer asked for',
  'unpaid-ticket': 'a PAID order without its money: never captured, of another amount, or given back',
  'not-told': 'an order came to its end and no mail says so',
  'told-twice': 'the same said in two mails that are not copies of each other',
  'wrong-answer':
    'an answer that the API does not have: a 500, a 5xx without Retry-After, a code for nothing',
  unanswered: 'no answer, though the gateway and the way to it were whole',
  'dead-letter': 'a healthy message among the dead letters',
  verdict: 'the shop’s own verdict does not hold',
  'not-ready': 'a process that did not come back after everything was healed',
  'unexpected-end': 'a process that ended of itself',
} as const satisfies Record<string, string>;
export type ViolationKind = keyof typeof VIOLATIONS;

export type Report = BaseReport<ViolationKind>;
