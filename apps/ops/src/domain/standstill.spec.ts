import { expect, it } from '@jest/globals';
import type { GroupInfo } from '#libs/messaging';
import { STANDSTILL_MS, Standstills } from './standstill.js';

const group = (state: Partial<GroupInfo> = {}): GroupInfo =>
  ({
    ...{ group: 'notification.sms', members: [], lag: 1, retrying: 0, acked: 7, deadLetters: 0 },
    ...{ positions: [{ topic: 'order', partition: 0, committedOffset: 7, endOffset: 8 }] },
    ...state,
  }) as GroupInfo;

/** What is found when the group looks so at first, and so after the time. */
function after(ms: number, first: GroupInfo, then = first): string[] {
  const standstills = new Standstills();
  expect(standstills.observe([first], 1_000)).toEqual([]);
  return standstills.observe([then], 1_000 + ms).map(({ name }) => name);
}

it('a group with one message that it does not settle is told after minutes, and no sooner', () => {
  expect(after(STANDSTILL_MS - 1, group())).toEqual([]);
  expect(after(STANDSTILL_MS, group())).toEqual(['standstill:notification.sms']);
});

it('says how much waits, for how long, and how many there are to take it', () => {
  const standstills = new Standstills();
  standstills.observe([group()], 0);
  expect(standstills.observe([group({ lag: 3 })], STANDSTILL_MS + 60_000)).toEqual([
    {
      name: 'standstill:notification.sms',
      detail: 'notification.sms has 3 messages and 0 members, and has settled none for 6 min',
      count: 3,
      threshold: 1,
    },
  ]);
});

it.each([
  ['it settled one meanwhile', group({ acked: 8 })],
  ['it gave one up meanwhile', group({ deadLetters: 1 })],
  [
    'its position went on',
    group({ positions: [{ topic: 'o', partition: 0, committedOffset: 8, endOffset: 9 }] }),
  ],
  ['it has nothing to do', group({ lag: 0 })],
  ['all that it has waits for its next try', group({ lag: 2, retrying: 2 })],
])('is silent when %s', (_why, then) => {
  expect(after(STANDSTILL_MS, group(), then)).toEqual([]);
});

it('counts anew when work comes after a time without any', () => {
  const standstills = new Standstills();
  standstills.observe([group()], 0);
  standstills.observe([group({ lag: 0 })], STANDSTILL_MS - 1);
  expect(standstills.observe([group()], STANDSTILL_MS + 1)).toEqual([]);
});

it('takes what fires already for true until it sees something settled', () => {
  const standstills = new Standstills();
  const firing = ['standstill:notification.sms'];
  expect(standstills.observe([group()], 1_000, firing)).toHaveLength(1);
  expect(standstills.observe([group()], 2_000, firing)).toHaveLength(1);
  expect(standstills.observe([group({ acked: 8 })], 3_000, firing)).toEqual([]);
  expect(new Standstills().observe([group({ lag: 0 })], 1_000, firing)).toEqual([]);
});
