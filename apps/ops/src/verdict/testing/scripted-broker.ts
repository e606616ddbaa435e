import type { BrokerPort, GroupInfo, StoredMessage, TimerInfo, TransactionInfo } from '#libs/messaging';
import { orderNo } from './sound-shop.js';

const PARTITIONS = 3;

/** What the admin side of a broker answers. */
export type ScriptedState = {
  groups: GroupInfo[];
  timers: TimerInfo;
  transactions: TransactionInfo;
  /** The topic `order`, by partition. */
  log: StoredMessage[][];
};

/** A broker with nothing to do: one timer is set, and not due. */
export const QUIET: Omit<ScriptedState, 'log'> = {
  groups: [
    {
      group: 'order.place',
      mode: 'shared',
      members: [],
      lag: 0,
      inFlight: 0,
      retrying: 0,
      deadLetters: 0,
      deadLettersDropped: 0,
      acked: 10,
      positions: [],
      unreadable: [],
      missed: { messages: 0, ranges: [] },
    },
  ],
  timers: { pending: 1, pastDue: 0, nextDueAtMs: undefined },
  transactions: { pending: 0, parked: [] },
};

/** Reads in pages of two, so that paging is tested. */
export function scriptedBroker(state: ScriptedState): BrokerPort {
  const admin = {
    groups: () => Promise.resolve(state.groups),
    timers: () => Promise.resolve(state.timers),
    transactions: () => Promise.resolve(state.transactions),
    topics: () =>
      Promise.resolve([
        {
          topic: 'order',
          partitions: state.log.map((messages, partition) => ({
            partition,
            startOffset: 0,
            endOffset: messages.length,
          })),
        },
      ]),
    read: (_topic: string, partition: number, offset: number) =>
      Promise.resolve(state.log[partition]?.slice(offset, offset + 2) ?? []),
  };
  return { admin } as unknown as BrokerPort;
}

/** `order.submitted` of so many orders over three partitions, and of one more, unknown, in one of them. */
export function logOf(orders: number, strangerIn?: number): StoredMessage[][] {
  const log: StoredMessage[][] = Array.from({ length: PARTITIONS }, () => []);
  const append = (partition: number, key: string): void => {
    const messages = log[partition] ?? [];
    messages.push({
      id: `order-submitted:${key}`,
      topic: 'order',
      tag: 'submitted',
      key,
      partition,
      offset: messages.length,
      headers: {},
      body: Buffer.from('{}'),
      bornAtMs: 0,
      storedAtMs: 0,
      priority: 4,
    });
  };
  for (let index = 0; index < orders; index += 1) append(index % PARTITIONS, orderNo(index));
  if (strangerIn !== undefined) append(strangerIn, orderNo(99));
  return log;
}
