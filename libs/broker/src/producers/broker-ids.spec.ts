import { expect, it } from '@jest/globals';
import { brokerIds } from './broker-ids.js';

it('gives no id twice, and draws another prefix when the count begins again', () => {
  const prefixes = ['prefix-1', 'prefix-2'];
  const nextId = brokerIds(() => prefixes.shift()!);
  const first = new Set(Array.from({ length: 10_000 }, nextId));
  expect(first.size).toBe(10_000);
  for (let count = 10_000; count < 64 ** 4; count++) nextId();
  expect(prefixes).toEqual(['prefix-2']);
  expect(nextId()).toBe('prefix-2AAAA');
});

it('gives ids of two brokers different prefixes', () => {
  expect(brokerIds()().slice(0, 8)).not.toBe(brokerIds()().slice(0, 8));
});
