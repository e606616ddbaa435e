import { describe, expect, it } from '@jest/globals';
import { verdictOn } from './checks.js';
import { none, type Findings, type TicketTypeFacts, type VerdictSnapshot } from './snapshot.js';

const TYPE = 'tt0123456789';
const found: Findings = { count: 4, examples: ['a', 'b', 'c'] };

const soldOut: TicketTypeFacts = {
  ticketTypeId: TYPE,
  quantity: 100,
  ledgerSold: 100,
  ledgerMovements: 100,
  ordered: 100,
  paid: 90,
  redis: { initial: 100, free: 0, held: 0, sold: 100, holds: { held: 0, sold: 100 } },
};

const sound: VerdictSnapshot = {
  ticketTypes: [soldOut],
  demand: { ticketTypeId: TYPE, tickets: 1_000, lastSoldOutAtMs: 1, returnedSince: 0 },
  orders: {
    byStatus: { PAID: 90, PENDING_PAYMENT: 10 },
    illegal: none,
    accepted: 100,
    missing: none,
    ledgerOnly: none,
    rejected: none,
    redisRebuilds: 0,
  },
  money: { captured: 90, unanswered: none, unpaid: none, misrefunded: none },
  effects: {
    paidOrders: 90,
    deduct: none,
    confirm: none,
    rollback: none,
    repeatedMovements: none,
    unnotified: none,
    repeatedNotifications: none,
  },
  broker: {
    lag: [{ group: 'order.place', lag: 0 }],
    pastDueTimers: 0,
    undecidedTransactions: 0,
    parkedTransactions: 0,
    deadLetters: [],
  },
};

const withType = (facts: Partial<TicketTypeFacts>): VerdictSnapshot => ({
  ...sound,
  ticketTypes: [{ ...soldOut, ...facts }],
});
const withRedis = (facts: Partial<TicketTypeFacts['redis']>): VerdictSnapshot =>
  withType({ redis: { initial: 100, free: 0, held: 0, sold: 100, holds: undefined, ...facts } });
const withOrders = (facts: Partial<VerdictSnapshot['orders']>): VerdictSnapshot => ({
  ...sound,
  orders: { ...sound.orders, ...facts },
});
const withMoney = (facts: Partial<VerdictSnapshot['money']>): VerdictSnapshot => ({
  ...sound,
  money: { ...sound.money, ...facts },
});
const withEffects = (facts: Partial<VerdictSnapshot['effects']>): VerdictSnapshot => ({
  ...sound,
  effects: { ...sound.effects, ...facts },
});
const withBroker = (facts: Partial<VerdictSnapshot['broker']>): VerdictSnapshot => ({
  ...sound,
  broker: { ...sound.broker, ...facts },
});

const failing = (snapshot: VerdictSnapshot): string[] =>
  verdictOn(snapshot)
    .checks.filter(({ ok }) => !ok)
    .map(({ name }) => name);

describe('the verdict', () => {
  it('holds over sound books, and has every row of the table', () => {
    const verdict = verdictOn(sound);
    expect(verdict.ok).toBe(true);
    expect(verdict.checks.map(({ name }) => name)).toEqual([
      'no-oversell',
      'conservation',
      'no-undersell',
      'no-lost-order',
      'money-equals-tickets',
      'effects-once',
      'quiet',
    ]);
  });

  it('holds over an empty shop', () => {
    const empty = { ...sound, ticketTypes: [], demand: undefined };
    expect(failing(empty)).toEqual([]);
  });

  const planted: [string, VerdictSnapshot, string][] = [
    ['a counter that lost a ticket', withRedis({ free: -1 }), 'conservation'],
    ['a negative counter that adds up', withRedis({ free: -5, held: 5 }), 'conservation'],
    ['holds that the counters do not know', withRedis({ holds: { held: 1, sold: 100 } }), 'conservation'],
    ['a ticket type that Redis lost', withType({ redis: undefined }), 'conservation'],
    ['Redis with another quantity', withRedis({ initial: 99, sold: 99 }), 'conservation'],
    ['a running total that its rows do not make', withType({ ledgerMovements: 99 }), 'conservation'],
    ['a sold ticket that no order holds', withType({ ordered: 99 }), 'conservation'],
    [
      'an accepted order without a row',
      withOrders({ missing: { count: 1, examples: ['x'] } }),
      'no-lost-order',
    ],
    ['an order in no legal state', withOrders({ illegal: found }), 'no-lost-order'],
    ['a deduction for no order', withOrders({ ledgerOnly: found }), 'no-lost-order'],
    ['a rejected order though Redis lost nothing', withOrders({ rejected: found }), 'no-lost-order'],
    ['captured money without a ticket or a refund', withMoney({ unanswered: found }), 'money-equals-tickets'],
    ['a ticket without money', withMoney({ unpaid: found }), 'money-equals-tickets'],
    ['a ticket whose money went back', withMoney({ misrefunded: found }), 'money-equals-tickets'],
    ['a paid order without its deduction', withEffects({ deduct: found }), 'effects-once'],
    ['a paid order without its confirmation', withEffects({ confirm: found }), 'effects-once'],
    ['a cancelled order that kept its tickets', withEffects({ rollback: found }), 'effects-once'],
    ['a movement twice', withEffects({ repeatedMovements: found }), 'effects-once'],
    ['a buyer who was not told', withEffects({ unnotified: found }), 'effects-once'],
    ['a notification twice', withEffects({ repeatedNotifications: found }), 'effects-once'],
    ['a group that lags', withBroker({ lag: [{ group: 'stock.deduct', lag: 2 }] }), 'quiet'],
    ['a timer past due', withBroker({ pastDueTimers: 1 }), 'quiet'],
    ['an undecided half message', withBroker({ undecidedTransactions: 1 }), 'quiet'],
    ['a parked half message', withBroker({ parkedTransactions: 1 }), 'quiet'],
  ];
  it.each(planted)('%s fails exactly its check', (_defect, snapshot, check) => {
    expect(failing(snapshot)).toEqual([check]);
    expect(verdictOn(snapshot).ok).toBe(false);
  });

  it('calls an oversell by its name in every book that shows it', () => {
    const oversold = withType({
      ledgerSold: 101,
      ledgerMovements: 101,
      ordered: 101,
      redis: { initial: 100, free: -1, held: 0, sold: 101, holds: undefined },
    });
    expect(failing(oversold)).toContain('no-oversell');
    expect(verdictOn(oversold).checks[0]?.detail).toContain(`${TYPE}: ledger sold 101 of 100`);
  });

  it('names the first of what breaks it', () => {
    const detail = verdictOn(withMoney({ unpaid: found })).checks[4]?.detail;
    expect(detail).toBe('4 PAID orders without their captured payment (a, b, c, …)');
  });

  it('counts dead letters without failing on them', () => {
    const verdict = verdictOn(withBroker({ deadLetters: [{ group: 'stock.deduct', count: 2 }] }));
    expect(verdict.ok).toBe(true);
    expect(verdict.checks[6]?.detail).toContain('stock.deduct 2');
  });

  it('excuses rejected orders when Redis had to be rebuilt', () => {
    expect(failing(withOrders({ rejected: found, redisRebuilds: 1 }))).toEqual([]);
  });

  describe('no undersell', () => {
    const sold90 = {
      ...soldOut,
      ledgerSold: 90,
      ledgerMovements: 90,
      ordered: 90,
      redis: { initial: 100, free: 10, held: 0, sold: 90, holds: undefined },
    };
    const demanded = (tickets: number, returnedSince: number): VerdictSnapshot => ({
      ...sound,
      ticketTypes: [sold90],
      demand: { ticketTypeId: TYPE, tickets, lastSoldOutAtMs: 1, returnedSince },
    });

    it('fails when tickets are left that were asked for', () => {
      expect(failing(demanded(100, 0))).toEqual(['no-undersell']);
      expect(failing(demanded(100, 9))).toEqual(['no-undersell']);
    });

    it('excuses tickets that came back after the last buyer was turned away', () => {
      expect(failing(demanded(100, 10))).toEqual([]);
    });

    it('has nothing to say about less demand than stock', () => {
      expect(failing(demanded(99, 0))).toEqual([]);
    });

    it('says so when nobody told the demand', () => {
      const verdict = verdictOn({ ...sound, ticketTypes: [sold90], demand: undefined });
      expect(verdict.ok).toBe(true);
      expect(verdict.checks[2]?.detail).toContain('demand unknown');
    });

    it('fails for a ticket type that does not exist', () => {
      const demand = {
        ticketTypeId: 'ttzzzzzzzzzz',
        tickets: 1,
        lastSoldOutAtMs: undefined,
        returnedSince: 0,
      };
      expect(failing({ ...sound, demand })).toEqual(['no-undersell']);
    });
  });
});
