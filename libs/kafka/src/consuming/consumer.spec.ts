import { afterEach, describe, expect, it } from '@jest/globals';
import { type DeliveredMessage, MessagingError, type Subscription } from '#libs/messaging/port';
import type {
  Committed,
  KafkaClient,
  LogRecord,
  MembershipOptions,
  NewRecord,
} from '../client/kafka-client.js';
import { quietLog } from '../testing/kafka-under-test.js';
import { TopicCatalog } from '../topic-catalog.js';
import { Consumer } from './consumer.js';

const place = { topic: 'order', partition: 0 };

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const deadlineMs = performance.now() + 5_000; !condition();) {
    if (performance.now() > deadlineMs) throw new Error(`not in 5 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** One partition of one topic; what happens on the cluster, the spec says. */
class FakeCluster {
  readonly topics = new Map<string, number>();
  readonly appended: NewRecord[] = [];
  /** Each request that changed a place or an append, in order. */
  readonly steps: string[] = [];
  readonly paused: boolean[] = [];
  appendFails = false;
  commitFails = false;
  member!: MembershipOptions;
  private end = 0;

  readonly client = {
    topics: async () => this.topics,
    createTopic: async (topic: string, { partitions }: { partitions: number }) => {
      this.topics.set(topic, partitions);
      return true;
    },
    append: async (records: readonly NewRecord[]) => {
      if (this.appendFails) throw new MessagingError('BROKER_UNAVAILABLE', 'away');
      this.appended.push(...records);
      this.steps.push(...records.map(({ topic }) => `append to ${topic}`));
      return records.map(() => 0);
    },
    join: async (options: MembershipOptions) => {
      this.member = options;
      options.onAssign([{ ...place, offset: 0, note: '' }]);
      return {
        commit: async (offsets: readonly Committed[]) => {
          if (this.commitFails) throw new MessagingError('BROKER_UNAVAILABLE', 'away');
          for (const { offset } of offsets) if (offset > 0) this.steps.push(`commit ${offset}`);
        },
        pause: () => void this.paused.push(true),
        resume: () => void this.paused.push(false),
        changeTopics: () => undefined,
        leave: async () => undefined,
      };
    },
  } as unknown as KafkaClient;

  store(texts: readonly string[]): void {
    const records = texts.map((text, index): LogRecord => ({
      ...place,
      offset: this.end + index,
      key: null,
      value: Buffer.from(text),
      headers: { 'sp.id': text, 'sp.tag': 'paid' },
      timestampMs: Date.now(),
    }));
    this.end += texts.length;
    this.member.onRecords(place, { records, nextOffset: this.end });
  }
}

describe('Consumer', () => {
  const consumers: Consumer[] = [];
  let cluster: FakeCluster;

  const start = async (
    handler: (delivery: DeliveredMessage) => Promise<void>,
    more: Partial<Subscription> = {},
  ): Promise<Consumer> => {
    cluster = new FakeCluster();
    const consumer = await Consumer.start(
      {
        client: cluster.client,
        catalog: new TopicCatalog(cluster.client, { replicas: 1 }),
        log: quietLog,
        clientName: 'spec',
        times: { sessionTimeoutMs: 6_000, heartbeatMs: 200, rebalanceTimeoutMs: 3_000 },
      },
      { group: 'stock.confirm', topics: [{ topic: 'order' }], ...more },
      async (batch) => void (await Promise.all(batch.map(handler))),
    );
    consumers.push(consumer);
    return consumer;
  };

  afterEach(async () => {
    await Promise.all(consumers.splice(0).map((consumer) => consumer.close(0)));
  });

  it('delivers a message again whose handler has not come to an end in ten leases', async () => {
    const seen: DeliveredMessage[] = [];
    await start(
      (delivery) => {
        seen.push(delivery);
        return delivery.attempt === 1 ? new Promise(() => undefined) : delivery.ack();
      },
      { leaseMs: 20 },
    );
    const storedAtMs = performance.now();
    cluster.store(['slow']);
    await until(() => seen.length === 2, 'the second delivery');
    expect(performance.now() - storedAtMs).toBeGreaterThan(200);
    expect(seen[0]?.signal.aborted).toBe(true);
    expect(seen[1]).toMatchObject({ attempt: 2, history: [{ attempt: 1, isLost: true }] });
    await expect(seen[0]?.ack()).rejects.toMatchObject({ code: 'LEASE_LOST' });
  });

  it('is paused where it holds as much as it may, and reads on when half of that is done', async () => {
    const held: DeliveredMessage[] = [];
    await start(async (delivery) => void held.push(delivery), { maxInFlightMessages: 4_096 });
    cluster.store(Array.from({ length: 2_048 }, (_, n) => `${n}`));
    expect(cluster.paused).toEqual([true]);
    await until(() => held.length === 2_048, 'all deliveries');
    await Promise.all(held.slice(0, 1_000).map((delivery) => delivery.ack()));
    expect(cluster.paused).toEqual([true]);
    await Promise.all(held.slice(1_000, 1_100).map((delivery) => delivery.ack()));
    expect(cluster.paused).toEqual([true, false]);
  });

  it('writes a retry and a dead letter before it commits, and commits nothing when they are not written', async () => {
    const held: DeliveredMessage[] = [];
    await start(async (delivery) => void held.push(delivery));
    cluster.store(['retried', 'dead']);
    await until(() => held.length === 2, 'both deliveries');
    const [first, second] = held;
    cluster.appendFails = true;
    await expect(first?.retry({ delayMs: 0, error: 'no' })).rejects.toMatchObject({ kind: 'transient' });
    await expect(second?.deadLetter({ reason: 'rejected', error: 'no' })).rejects.toMatchObject({
      kind: 'transient',
    });
    expect(cluster.steps).toEqual([]);
    cluster.appendFails = false;
    await first?.retry({ delayMs: 0, error: 'no' });
    await second?.deadLetter({ reason: 'rejected', error: 'no' });
    const steps = cluster.steps.filter((step, index, all) => step !== all[index - 1]);
    expect(steps).toEqual([
      'append to RETRY.stock.confirm',
      'commit 1',
      'append to DLQ.stock.confirm',
      'commit 2',
    ]);
  });

  it('lets a verdict be given again whose commit failed, and writes it once', async () => {
    const held: DeliveredMessage[] = [];
    await start(async (delivery) => void held.push(delivery));
    cluster.store(['a', 'b']);
    await until(() => held.length === 2, 'both deliveries');
    cluster.commitFails = true;
    const dead = { reason: 'rejected', error: 'no' } as const;
    await expect(held[0]?.deadLetter(dead)).rejects.toMatchObject({ kind: 'transient' });
    cluster.commitFails = false;
    await held[0]?.deadLetter(dead);
    await held[1]?.ack();
    expect(cluster.appended).toHaveLength(1);
    expect(cluster.steps.at(-1)).toBe('commit 2');
  });

  it('has its handlers come to an end before partitions are given up, and nothing settled afterwards', async () => {
    const held: DeliveredMessage[] = [];
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    await start(async (delivery) => {
      held.push(delivery);
      await released;
      await delivery.ack();
    });
    cluster.store(['a']);
    await until(() => held.length === 1, 'the delivery');
    let isGivenUp = false;
    const revoked = cluster.member.onRevoke().then(() => (isGivenUp = true));
    cluster.store(['b']);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([isGivenUp, held.length]).toEqual([false, 1]);
    release();
    await revoked;
    expect(cluster.steps.at(-1)).toBe('commit 1');
  });

  it('can settle nothing of partitions that were lost', async () => {
    const held: DeliveredMessage[] = [];
    await start(async (delivery) => void held.push(delivery));
    cluster.store(['a']);
    await until(() => held.length === 1, 'the delivery');
    cluster.member.onLose();
    expect(held[0]?.signal.aborted).toBe(true);
    const dead = held[0]?.deadLetter({ reason: 'rejected', error: 'no' });
    await expect(dead).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect(cluster.appended).toEqual([]);
  });

  it('tells why it has ended by itself', async () => {
    const consumer = await start((delivery) => delivery.ack());
    expect(consumer.stoppedBy).toBeUndefined();
    cluster.member.onStop(new MessagingError('AUTHENTICATION_FAILED', 'no longer allowed'));
    expect(consumer.stoppedBy).toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  });
});
