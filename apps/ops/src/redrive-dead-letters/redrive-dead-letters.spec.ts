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
