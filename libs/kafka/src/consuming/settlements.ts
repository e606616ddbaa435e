import { setTimeout as sleep } from 'node:timers/promises';
import { type Attempt, MessagingError, retryTopic } from '#libs/messaging/port';
import type { KafkaClient } from '../client/kafka-client.js';
import type { ClientLog } from '../client/kafkajs.js';
import { letterRecord } from '../dead-letters/letters.js';
import { carry } from '../sending/records.js';
import type { TopicCatalog } from '../topic-catalog.js';
import { kafkaTopicOf } from '../topic-names.js';
import type { Commits } from './commits.js';
import type { Delivery, Verdict } from './delivery.js';
import type { Item } from './partition-work.js';
import type { Terms } from './subscription.js';

const MAX_HISTORY = 16;
const MAX_ERROR_CHARS = 1_024;
/** Between two tries to write a dead letter that nobody waits for. */
const AGAIN_MS = 1_000;

export type SettlementParts = {
  client: KafkaClient;
  catalog: TopicCatalog;
  log: ClientLog;
  clientName: string;
  commits: Commits;
};

/** What becomes of an item. */
export type ItemEnds = {
  finish(item: Item): void;
  /** The same message is delivered once more, in its place. */
  again(item: Item, delayMs: number): void;
};

/**
 * Does what a delivery's verdict says. A retry and a dead letter are written before the offset is committed: a member that dies
 * between the two leaves a message twice, never none.
 */
export class Settlements {
  constructor(
    private readonly terms: Terms,
    private readonly parts: SettlementParts,
    private readonly ends: ItemEnds,
  ) {}

  /** Resolves when it is recorded. `land` is called when the delivery is out of its owner's hands. */
  async settle(delivery: Delivery, verdict: Verdict, land: () => void): Promise<void> {
    const { item } = delivery;
    if (item.work.isGone) throw lost();
    if (verdict.action !== 'ack' && item.isDone !== true) {
      const attempt = this.attemptOf(delivery, verdict.error);
      if (verdict.action === 'dead-letter') await this.bury(item, verdict, [...delivery.history, attempt]);
      else if (this.terms.isByKey) return this.retryInPlace(item, attempt, verdict, land);
      else await this.writeRetry(item, attempt, verdict.delayMs);
    }
    await this.finish(item, land);
  }

  /** A try that nobody tells the end of; never rejects. */
  async failed(item: Item, attempt: Attempt): Promise<void> {
    if (this.terms.isByKey && attempt.attempt > this.terms.blockTimes) {
      await this.untilWritten(item, () =>
        this.bury(item, { reason: 'retries-exhausted', error: attempt.error, kind: undefined }, [
          ...item.read.tries.history,
          attempt,
        ]),
      );
      return;
    }
    this.remember(item, attempt);
    this.ends.again(item, 0);
  }

  /** Its time to live ran out before it was delivered; never rejects. */
  expire(item: Item): Promise<void> {
    const cause = { reason: 'ttl-expired', error: 'its time to live ran out', kind: undefined } as const;
    return this.untilWritten(item, () => this.bury(item, cause, item.read.tries.history));
  }

  private async untilWritten(item: Item, write: () => Promise<void>): Promise<void> {
    while (!item.work.isGone) {
      try {
        await write();
        return await this.finish(item, () => undefined);
      } catch (error) {
        const { group } = this.terms;
        this.parts.log.warn({ group, error: String(error) }, 'a dead letter was not recorded');
        await sleep(AGAIN_MS, undefined, { ref: false });
      }
    }
  }

  private async finish(item: Item, land: () => void): Promise<void> {
    if (item.work.isGone) throw lost();
    if (item.isDone !== true) {
      item.isDone = true;
      land();
      this.ends.finish(item);
    }
    await this.parts.commits.add(item.work);
  }

  private async retryInPlace(
    item: Item,
    attempt: Attempt,
    { delayMs, error, kind }: Extract<Verdict, { action: 'retry' }>,
    land: () => void,
  ): Promise<void> {
    if (attempt.attempt > this.terms.blockTimes) {
      const history = [...item.read.tries.history, attempt];
      await this.bury(item, { reason: 'retries-exhausted', error, kind }, history);
      return this.finish(item, land);
    }
    this.remember(item, attempt);
    land();
    this.ends.again(item, delayMs);
  }

  private remember(item: Item, attempt: Attempt): void {
    const { tries } = item.read;
    item.read = {
      ...item.read,
      // It was delivered: its time to live is over with that.
      expiresAtMs: Infinity,
      tries: { ...tries, attempt: tries.attempt + 1, history: lastOf([...tries.history, attempt]) },
    };
  }

  private async writeRetry({ read }: Item, attempt: Attempt, delayMs: number): Promise<void> {
    const { message, tries } = read;
    const topic = kafkaTopicOf(retryTopic(this.terms.group));
    const partition = message.partition % (await this.parts.catalog.partitionsOf(topic));
    const record = carry(
      message,
      { topic, partition },
      {
        tries: { ...tries, attempt: tries.attempt + 1, history: lastOf([...tries.history, attempt]) },
        dueAtMs: Date.now() + delayMs,
      },
    );
    await this.parts.client.append([record]);
  }

  private async bury(
    { read }: Item,
    { reason, error, kind }: Omit<Extract<Verdict, { action: 'dead-letter' }>, 'action'>,
    attempts: readonly Attempt[],
  ): Promise<void> {
    const record = letterRecord(this.terms.group, read.message, {
      reason,
      error: error.slice(0, MAX_ERROR_CHARS),
      kind,
      deadAtMs: Date.now(),
      automaticRedrives: read.tries.automaticRedrives,
      attempts: lastOf(attempts),
    });
    await this.parts.client.append([record]);
  }

  private attemptOf({ attempt }: Delivery, error: string): Attempt {
    const consumer = this.parts.clientName;
    return { attempt, atMs: Date.now(), consumer, error: error.slice(0, MAX_ERROR_CHARS) };
  }
}

const lastOf = (attempts: readonly Attempt[]): readonly Attempt[] => attempts.slice(-MAX_HISTORY);

const lost = (): MessagingError =>
  new MessagingError('LEASE_LOST', 'the partition is somebody else’s by now');
