import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OutgoingMessage, StoredMessage, Subscription, TopicInfo } from '#libs/messaging/port';
import { EmbeddedBroker } from '../engine/embedded-broker.js';
import type { BrokerOptions } from '../engine/options.js';
import type { BrokerSession, RawDelivery, SessionEvents } from '../session.js';
import { until } from './until.js';

export { until };

/** A clock that stands until a spec moves it. */
export class ManualClock {
  constructor(private nowMs = 1_800_000_000_000) {}

  now(): number {
    return this.nowMs;
  }

  advance(ms: number): void {
    this.nowMs += ms;
  }
}

/** A session whose events are kept in lists. */
export class EngineClient implements SessionEvents {
  readonly delivered: RawDelivery[] = [];
  readonly lost: number[] = [];
  readonly checks: { transactionId: string; messages: readonly OutgoingMessage[] }[] = [];
  isClosed = false;
  readonly session: BrokerSession;

  constructor(broker: EmbeddedBroker, name = 'client') {
    this.session = broker.openSession(name, this);
  }

  deliveries(_consumerId: number, deliveries: readonly RawDelivery[]): void {
    this.delivered.push(...deliveries);
  }

  leaseLost(_consumerId: number, deliveryIds: readonly number[]): void {
    this.lost.push(...deliveryIds);
  }

  check(transactionId: string, messages: readonly OutgoingMessage[]): void {
    this.checks.push({ transactionId, messages });
  }

  closed(): void {
    this.isClosed = true;
  }

  attach(more: Partial<Subscription> = {}, mode: 'push' | 'pull' = 'push'): Promise<number> {
    return this.session.attach({ group: 'g', topics: [{ topic: 't' }], ...more }, mode);
  }

  admin<Result = unknown>(method: string, ...args: unknown[]): Promise<Result> {
    return this.session.admin({ method, args }) as Promise<Result>;
  }

  /** Bodies of what was delivered, in order. */
  get texts(): string[] {
    return this.delivered.map(textOf);
  }

  /** Takes the oldest delivery that is not taken, waiting for it. */
  async take(): Promise<RawDelivery> {
    await until(() => this.delivered.length > 0, 'a delivery');
    return this.delivered.shift()!;
  }

  async ack(delivery: RawDelivery): Promise<boolean> {
    return (await this.session.settle([{ deliveryId: delivery.deliveryId, verdict: 'ack' }]))[0]!;
  }

  async retry(delivery: RawDelivery, delayMs = 0, error = 'failed'): Promise<boolean> {
    const { deliveryId } = delivery;
    return (await this.session.settle([{ deliveryId, verdict: 'retry', delayMs, error }]))[0]!;
  }
}

export const textOf = ({ message: { body } }: RawDelivery): string => Buffer.from(body).toString();

export const message = (text: string, more: Partial<OutgoingMessage> = {}): OutgoingMessage => ({
  topic: 't',
  tag: 'a',
  body: Buffer.from(text),
  ...more,
});

/** What was scheduled has been done: some turns of the event loop, with time for a small write in each. */
export async function settled(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Ids of everything that can be read, by topic and partition. */
export async function stored(broker: EmbeddedBroker): Promise<Map<string, string[]>> {
  const { session } = new EngineClient(broker);
  const found = new Map<string, string[]>();
  for (const { topic, partitions } of (await session.admin({ method: 'topics', args: [] })) as TopicInfo[]) {
    for (const { partition, startOffset } of partitions) {
      const ids: string[] = [];
      for (let offset = startOffset; ;) {
        const page = await session.admin({ method: 'read', args: [topic, partition, offset, 10_000] });
        const messages = page as StoredMessage[];
        if (messages.length === 0) break;
        ids.push(...messages.map(({ id }) => id));
        offset = messages.at(-1)!.offset + 1;
      }
      if (ids.length > 0) found.set(`${topic}/${partition}`, ids);
    }
  }
  await session.close();
  return found;
}

/** A data directory of its own, and the brokers that a spec opens on it; `cleanUp` closes and removes. */
export class BrokerSandbox {
  /** No reserve unless a spec asks for one: to write it takes longer than most cases. */
  private broker: EmbeddedBroker | undefined;

  private constructor(
    readonly dir: string,
    private readonly options: Partial<BrokerOptions>,
  ) {}

  static async make(options: Partial<BrokerOptions> = {}): Promise<BrokerSandbox> {
    return new BrokerSandbox(await mkdtemp(join(tmpdir(), 'broker-')), options);
  }

  async open(more: Partial<BrokerOptions> = {}): Promise<EmbeddedBroker> {
    this.broker = await EmbeddedBroker.open({ dir: this.dir, reserveBytes: 0, ...this.options, ...more });
    return this.broker;
  }

  async reopen(more: Partial<BrokerOptions> = {}): Promise<EmbeddedBroker> {
    await this.closeQuietly();
    return this.open(more);
  }

  /** A broker whose storage failed cannot write what is left, and says so to the spec by then. */
  private async closeQuietly(): Promise<void> {
    await this.broker?.close().catch(() => undefined);
  }

  async cleanUp(): Promise<void> {
    await this.closeQuietly();
    await rm(this.dir, { recursive: true, force: true });
  }
}
