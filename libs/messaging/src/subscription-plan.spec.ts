import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import type { ConsumerDeclaration } from './consume.decorator.js';
import { defineEvent } from './contract.js';
import { planSubscriptions, type PlannedHandler } from './subscription-plan.js';

const event = (topic: string, tag: string) =>
  defineEvent({ topic, tag, version: 1, key: () => 'k', payload: z.object({}) });
const [paid, cancelled, failed] = [
  event('order', 'paid'),
  event('order', 'cancelled'),
  event('payment', 'failed'),
];

function handler(
  contract: ReturnType<typeof event>,
  options: ConsumerDeclaration['options'],
): PlannedHandler<string> {
  return { contract, consumer: { takes: 'one', contracts: [contract], options }, handler: contract.name };
}

describe('the subscriptions of a service', () => {
  it('are one per group, with every topic and tag its handlers take', () => {
    const plans = planSubscriptions([
      handler(paid, { group: 'a' }),
      handler(failed, { group: 'b' }),
      handler(cancelled, { group: 'a' }),
      handler(failed, { group: 'a' }),
    ]);
    expect(plans.map(({ subscription }) => subscription)).toEqual([
      {
        group: 'a',
        maxBatchMessages: 1,
        topics: [
          { topic: 'order', tags: ['paid', 'cancelled'] },
          { topic: 'payment', tags: ['failed'] },
        ],
      },
      { group: 'b', maxBatchMessages: 1, topics: [{ topic: 'payment', tags: ['failed'] }] },
    ]);
  });

  it('take an option from whichever handler gives it', () => {
    const [plan] = planSubscriptions([
      handler(paid, { group: 'a', order: 'by-key' }),
      handler(cancelled, { group: 'a', leaseMs: 5, maxBatchMessages: 20 }),
    ]);
    expect(plan?.subscription).toMatchObject({ order: 'by-key', leaseMs: 5, maxBatchMessages: 20 });
  });

  it('are refused when handlers of a group contradict each other', () => {
    const contradicting = [
      handler(paid, { group: 'a', order: 'by-key' }),
      handler(cancelled, { group: 'a', order: 'unordered' }),
    ];
    expect(() => planSubscriptions(contradicting)).toThrow(
      'group a contradict each other: order is both by-key',
    );
  });

  it('are refused for a broadcast with an inbox, where one member would take every message from the others', () => {
    expect(() =>
      planSubscriptions([handler(paid, { group: 'a', mode: 'broadcast', once: 'inbox' })]),
    ).toThrow('inbox');
  });
});
