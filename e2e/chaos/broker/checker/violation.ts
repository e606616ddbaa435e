import type { Report as BaseReport } from '../../violations.js';

/** Every way in which a run can break a promise. A closed list; a unit spec plants each. */
export const VIOLATIONS = {
  lost: 'acknowledged, or stored, and never delivered to a group',
  'stored-twice': 'one message at two offsets',
  phantom: 'delivered or stored, but never sent, refused, rolled back, or changed on the way',
  'settled-twice': 'delivered and settled again after the group had settled it for good',
  reordered: 'a by-key group got a message before it was done with an earlier one of the key',
  'non-monotonic': 'sent after another was acknowledged, stored before it',
  'inconsistent-offsets': 'one place with two messages, a gap, or a receipt that names another place',
  'torn-batch': 'a part of what one call sent',
  'torn-transaction': 'a part of what one transaction prepared',
  'transaction-refused': 'the broker did not take the first and only decision',
  'timer-early': 'delivered before it was due',
  'timer-lost': 'set, not recalled, and never delivered',
  'timer-recalled': 'delivered although its recall was confirmed',
  'dead-letter': 'not there once, exactly when its consumer said so',
  'not-drained': 'still open long after everything was healed',
} as const satisfies Record<string, string>;
export type ViolationKind = keyof typeof VIOLATIONS;

export type Report = BaseReport<ViolationKind>;
