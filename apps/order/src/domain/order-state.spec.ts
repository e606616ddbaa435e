import { describe, expect, test } from '@jest/globals';
import { decide, type Decision, type OrderEvent, type OrderState } from './order-state.js';

const mine = '11111111-1111-4111-8111-111111111111';
const other = '22222222-2222-4222-8222-222222222222';

const states = {
  pending: { status: 'PENDING_PAYMENT', paymentId: undefined, cancelReason: undefined },
  paid: { status: 'PAID', paymentId: mine, cancelReason: undefined },
  free: { status: 'PAID', paymentId: undefined, cancelReason: undefined },
  'timed out': { status: 'CANCELLED', paymentId: undefined, cancelReason: 'payment-timeout' },
  'cancelled by buyer': { status: 'CANCELLED', paymentId: undefined, cancelReason: 'buyer' },
  refunding: { status: 'REFUNDING', paymentId: mine, cancelReason: undefined },
  refunded: { status: 'REFUNDED', paymentId: mine, cancelReason: undefined },
  rejected: { status: 'REJECTED', paymentId: undefined, cancelReason: undefined },
} satisfies Record<string, OrderState>;

const events = {
  paid: { type: 'payment-succeeded', paymentId: mine },
  'paid otherwise': { type: 'payment-succeeded', paymentId: other },
  reacquired: { type: 'stock-reacquired', paymentId: mine },
  'reacquired otherwise': { type: 'stock-reacquired', paymentId: other },
  'not reacquired': { type: 'stock-not-reacquired', paymentId: mine, why: 'sold-out' },
  'not reacquired otherwise': { type: 'stock-not-reacquired', paymentId: other, why: 'sale-over' },
  'timed out': { type: 'payment-timed-out' },
  'cancelled by buyer': { type: 'cancelled-by-buyer' },
  'stock refused': { type: 'stock-refused' },
  refunded: { type: 'payment-refunded', paymentId: mine },
  'refunded otherwise': { type: 'payment-refunded', paymentId: other },
} satisfies Record<string, OrderEvent>;

type StateName = keyof typeof states;
type EventName = keyof typeof events;

const nothing = 'nothing';
const wait = 'wait';
const impossible = 'impossible';
const refused = 'ORDER_NOT_CANCELLABLE';
const paidTwice = 'refund paid-twice';

/** Every state × every event; a missing cell does not compile. */
const table: Record<StateName, Record<EventName, string>> = {
  pending: {
    paid: 'PAID by mine',
    'paid otherwise': 'PAID by other',
    reacquired: impossible,
    'reacquired otherwise': impossible,
    'not reacquired': impossible,
    'not reacquired otherwise': impossible,
    'timed out': 'CANCELLED payment-timeout',
    'cancelled by buyer': 'CANCELLED buyer',
    'stock refused': 'REJECTED ledger-refused',
    refunded: wait,
    'refunded otherwise': wait,
  },
  paid: {
    paid: nothing,
    'paid otherwise': paidTwice,
    reacquired: nothing,
    'reacquired otherwise': paidTwice,
    'not reacquired': nothing,
    'not reacquired otherwise': paidTwice,
    'timed out': nothing,
    'cancelled by buyer': refused,
    'stock refused': 'REFUNDING mine ledger-refused',
    refunded: 'REFUNDED mine, tickets returned',
    'refunded otherwise': nothing,
  },
  free: {
    paid: paidTwice,
    'paid otherwise': paidTwice,
    reacquired: paidTwice,
    'reacquired otherwise': paidTwice,
    'not reacquired': paidTwice,
    'not reacquired otherwise': paidTwice,
    'timed out': nothing,
    'cancelled by buyer': refused,
    'stock refused': 'REJECTED ledger-refused',
    refunded: nothing,
    'refunded otherwise': nothing,
  },
  'timed out': {
    paid: 'reacquire-stock',
    'paid otherwise': 'reacquire-stock',
    reacquired: 'PAID by mine, reacquired',
    'reacquired otherwise': 'PAID by other, reacquired',
    'not reacquired': 'REFUNDING mine sold-out',
    'not reacquired otherwise': 'REFUNDING other sale-over',
    'timed out': nothing,
    'cancelled by buyer': refused,
    'stock refused': nothing,
    refunded: wait,
    'refunded otherwise': wait,
  },
  'cancelled by buyer': {
    paid: 'REFUNDING mine cancelled-by-buyer',
    'paid otherwise': 'REFUNDING other cancelled-by-buyer',
    reacquired: impossible,
    'reacquired otherwise': impossible,
    'not reacquired': impossible,
    'not reacquired otherwise': impossible,
    'timed out': nothing,
    'cancelled by buyer': nothing,
    'stock refused': nothing,
    refunded: wait,
    'refunded otherwise': wait,
  },
  refunding: {
    paid: nothing,
    'paid otherwise': paidTwice,
    reacquired: 'give-back-stock',
    'reacquired otherwise': `${paidTwice} and give back`,
    'not reacquired': nothing,
    'not reacquired otherwise': paidTwice,
    'timed out': nothing,
    'cancelled by buyer': refused,
    'stock refused': nothing,
    refunded: 'REFUNDED mine',
    'refunded otherwise': nothing,
  },
  refunded: {
    paid: nothing,
    'paid otherwise': paidTwice,
    reacquired: 'give-back-stock',
    'reacquired otherwise': `${paidTwice} and give back`,
    'not reacquired': nothing,
    'not reacquired otherwise': paidTwice,
    'timed out': nothing,
    'cancelled by buyer': refused,
    'stock refused': nothing,
    refunded: nothing,
    'refunded otherwise': nothing,
  },
  rejected: {
    paid: 'refund order-rejected',
    'paid otherwise': 'refund order-rejected',
    reacquired: impossible,
    'reacquired otherwise': impossible,
    'not reacquired': impossible,
    'not reacquired otherwise': impossible,
    'timed out': nothing,
    'cancelled by buyer': refused,
    'stock refused': nothing,
    refunded: nothing,
    'refunded otherwise': nothing,
  },
};

const payer = (paymentId: string): string => (paymentId === mine ? 'mine' : 'other');

function summary(decision: Decision): string {
  switch (decision.do) {
    case 'nothing':
    case 'wait':
    case 'reacquire-stock':
    case 'give-back-stock':
      return decision.do;
    case 'refuse':
      return decision.code;
    case 'refund-payment':
      return `refund ${decision.reason}${decision.giveBackStock ? ' and give back' : ''}`;
    case 'change': {
      const { change } = decision;
      switch (change.to) {
        case 'PAID':
          return `PAID by ${payer(change.paymentId)}${change.reacquired ? ', reacquired' : ''}`;
        case 'REFUNDING':
          return `REFUNDING ${payer(change.paymentId)} ${change.reason}`;
        case 'REFUNDED':
          return `REFUNDED ${payer(change.paymentId)}${change.ticketsReturned ? ', tickets returned' : ''}`;
        case 'CANCELLED':
        case 'REJECTED':
          return `${change.to} ${change.reason}`;
      }
    }
  }
}

function outcome(state: OrderState, event: OrderEvent): string {
  try {
    return summary(decide(state, event));
  } catch (error) {
    expect(String(error)).toContain('cannot happen');
    return impossible;
  }
}

describe('every event in every state has its one answer', () => {
  const cells = (Object.keys(table) as StateName[]).flatMap((state) =>
    (Object.keys(table[state]) as EventName[]).map((event) => [state, event, table[state][event]] as const),
  );
  test.each(cells)('%s + %s → %s', (state, event, expected) => {
    expect(outcome(states[state], events[event])).toBe(expected);
  });
});

test('a decision repeated on its own result changes nothing more', () => {
  const paid: OrderState = { status: 'PAID', paymentId: mine, cancelReason: undefined };
  expect(decide(paid, events.paid)).toEqual({ do: 'nothing' });
  const cancelled: OrderState = states['timed out'];
  expect(decide(cancelled, events['timed out'])).toEqual({ do: 'nothing' });
});
