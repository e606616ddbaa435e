import { expect, test } from '@jest/globals';
import type { BrokerPort } from '#libs/messaging';
import type { AlertWatch } from '../alerts/alert-watch.js';
import type { DeadLetterStore } from '../collect-dead-letters/dead-letter-store.js';
import { OpsConfig } from '../ops.config.js';
import { RedriveDeadLetters } from './redrive-dead-letters.js';

test.each([
  [1, 5],
  [200, 1_000],
  [10_000, 1_000],
])(
  'a redrive at %i a second takes at most %i letters, so that its answer comes within seconds',
  async (perSecond, expected) => {
    const limits: number[] = [];
    const store = {
      oldest: (_filter: unknown, limit: number) => {
        limits.push(limit);
        return Promise.resolve([]);
      },
      count: () => Promise.resolve(7),
    };
    const redrive = new RedriveDeadLetters(
      store as unknown as DeadLetterStore,
      {} as BrokerPort,
      { look: () => undefined } as unknown as AlertWatch,
      OpsConfig.parse({ REDRIVE_PER_SECOND: perSecond }),
    );
    expect(await redrive.redriveAll({ filter: { group: 'a' } }, 'admin')).toEqual({ count: 0, remaining: 7 });
    expect(limits).toEqual([expected]);
  },
);

test.each(['REDRIVEN', 'DISCARDED'])(
  'a letter that is %s already is neither given back nor dropped, and nothing is noted of it',
  async (status) => {
    const noted: unknown[] = [];
    const store = {
      find: (id: string) => Promise.resolve({ id, group: 'g', messageId: 'a', status }),
      resolve: async (...resolution: unknown[]) => void noted.push(resolution),
    };
    const asked: string[] = [];
    const admin = {
      redrive: async () => asked.push('redrive') < 0,
      discard: async () => asked.push('discard') < 0,
    };
    const redrive = new RedriveDeadLetters(
      store as unknown as DeadLetterStore,
      { admin } as unknown as BrokerPort,
      { look: () => undefined } as unknown as AlertWatch,
      OpsConfig.parse({}),
    );
    for (const settling of [redrive.redrive('id', 'admin'), redrive.discard('id', 'admin')])
      await expect(settling).rejects.toMatchObject({ code: 'DEAD_LETTER_RESOLVED' });
    expect([asked, noted]).toEqual([[], []]);
  },
);

test('a redrive reports all that the broker gave back, also those that died again at once', async () => {
  const letters = ['a', 'b', 'gone'].map((messageId) => ({ id: messageId, group: 'g', messageId }));
  const noted: boolean[] = [];
  const store = {
    oldest: () => Promise.resolve(letters),
    count: () => Promise.resolve(2),
    // As when the letter's next death is in its row already: nothing is left to be resolved.
    resolve: (_letter: unknown, _status: unknown, { done }: { done: boolean }) => {
      noted.push(done);
      return Promise.resolve();
    },
  };
  const redrive = new RedriveDeadLetters(
    store as unknown as DeadLetterStore,
    {
      admin: { redrive: (_group: string, id: string) => Promise.resolve(id !== 'gone') },
    } as unknown as BrokerPort,
    { look: () => undefined } as unknown as AlertWatch,
    OpsConfig.parse({ REDRIVE_PER_SECOND: 1_000 }),
  );
  expect(await redrive.redriveAll({ filter: { group: 'g' } }, 'admin')).toEqual({ count: 2, remaining: 2 });
  expect(noted).toEqual([true, true, false]);
});
