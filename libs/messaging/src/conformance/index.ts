/**
 * What every implementation of `BrokerPort` offers: a section per point of the design. An
 * implementation's own specs call `describeBrokerConformance` with a way to start it.
 *
 *     describeBrokerConformance('Kafka', (times) => startKafka(times));
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, jest } from '@jest/globals';
import { adminSection } from './admin.js';
import type { BrokerFactory, BrokerSettings, BrokerTimes, BrokerUnderTest } from './broker-under-test.js';
import { consumeSection } from './consume.js';
import { deadLetterSection } from './dead-letters.js';
import { delaySection } from './delay.js';
import { durabilitySection } from './durability.js';
import { expirySection } from './expiry.js';
import { maximumLengthSection } from './maximum-length.js';
import { orderSection } from './order.js';
import { producerSection } from './producers.js';
import { type Refusals, withRefusals } from './promise.js';
import { publishSubscribeSection } from './publish-subscribe.js';
import { pullSection } from './pull.js';
import { replaySection } from './replay.js';
import { RETENTION, retentionSection } from './retention.js';
import { retrySection } from './retry.js';
import { sendSection } from './send.js';
import { Stage } from './stage.js';
import { traceSection } from './trace.js';
import { transactionSection } from './transactions.js';

export type { Refusals } from './promise.js';
export type { BrokerFactory, BrokerSettings, BrokerUnderTest, ClientOptions } from './broker-under-test.js';

/** Tests that wait for a state give up after this. */
const TEST_TIMEOUT_MS = 30_000;
const TIMES: BrokerTimes = { firstCheckMs: 100, checkEveryMs: 100, maxChecks: 3 };

const SECTIONS: Record<string, (stage: () => Stage, times: BrokerTimes) => void> = {
  'publish and subscribe': publishSubscribeSection,
  send: sendSection,
  'producer identity': producerSection,
  consume: consumeSection,
  pull: pullSection,
  retry: retrySection,
  'dead letters': deadLetterSection,
  delay: delaySection,
  transactions: transactionSection,
  'order by key': orderSection,
  trace: traceSection,
  replay: replaySection,
  retention: retentionSection,
  'time to live and priority': expirySection,
  'maximum length': maximumLengthSection,
  admin: adminSection,
  durability: durabilitySection,
};

/** What a section's broker is opened with beside the times. */
const SETTINGS: Record<string, Omit<BrokerSettings, keyof BrokerTimes>> = { retention: RETENTION };

/** `refusals`: what the implementation says that it does not do. */
export function describeBrokerConformance(name: string, open: BrokerFactory, refusals: Refusals = {}): void {
  jest.setTimeout(TEST_TIMEOUT_MS);
  describe(`${name} as a broker`, () => {
    for (const [title, section] of Object.entries(SECTIONS)) {
      describe(title, () => {
        let broker: BrokerUnderTest;
        let stage: Stage;
        beforeAll(async () => {
          broker = await open({ ...TIMES, ...SETTINGS[title] });
        });
        beforeEach(() => {
          stage = new Stage(broker);
        });
        afterEach(() => stage.end());
        afterAll(() => broker.close());
        withRefusals(refusals, title, () => section(() => stage, TIMES));
      });
    }
  });
}
