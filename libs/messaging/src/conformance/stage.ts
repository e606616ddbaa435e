import type { BrokerConsumer, BrokerPort, Subscription } from '../broker-port.js';
import type { DeliveredMessage } from '../broker-port.js';
import type { OutgoingMessage, SendReceipt } from '../message.js';
import type { BrokerUnderTest, ClientOptions } from './broker-under-test.js';

/** What a test does with a delivery; resolves when it is settled, or at once when it is left open. */
export type Verdict = (delivery: DeliveredMessage) => Promise<void>;

export const ack: Verdict = (delivery) => delivery.ack();
/** Leaves the delivery in flight. */
export const keep: Verdict = () => Promise.resolve();

/** A consumer that remembers what it was given. */
export type Collector = {
  received: DeliveredMessage[];
  batchSizes: number[];
  consumer: BrokerConsumer;
  /** Bodies in order of arrival. */
  texts(): string[];
};

export const textOf = ({ message }: { message: { body: Uint8Array } }): string =>
  Buffer.from(message.body).toString();

export const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Waits until `condition` holds, and says what did not come when it does not. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  timeoutMs = 12_000,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) {
      throw new Error(`not within ${timeoutMs} ms: ${typeof what === 'string' ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
}

/**
 * Does what has to be done before a moment that is soon: on a machine that was not fast enough for that, anew with
 * twice the time, since such a round proves nothing. `work` takes a topic of its own each time.
 */
export async function inTime<Result>(
  leadMs: number,
  work: (dueAtMs: number) => Promise<Result>,
): Promise<Result> {
  for (let givenMs = leadMs; ; givenMs *= 2) {
    const dueAtMs = Date.now() + givenMs;
    const result = await work(dueAtMs);
    if (Date.now() < dueAtMs) return result;
  }
}

let names = 0;

/** What one test works with: fresh topics and groups on the section's broker, and clients that end with the test. */
export class Stage {
  private readonly ports: BrokerPort[] = [];
  private main: BrokerPort | undefined;

  constructor(private readonly broker: BrokerUnderTest) {}

  /** The client that tests use when it does not matter which. */
  get port(): BrokerPort {
    this.main ??= this.connect('main');
    return this.main;
  }

  connect(clientName: string, options?: ClientOptions): BrokerPort {
    const port = this.broker.connect(clientName, options);
    this.ports.push(port);
    return port;
  }

  /** A topic that no other test has. */
  topic(): string {
    return `topic-${process.pid}-${++names}`;
  }

  group(): string {
    return `group-${process.pid}-${++names}`;
  }

  send(topic: string, text: string, more: Partial<OutgoingMessage> = {}): Promise<SendReceipt> {
    return this.sendAll(topic, [text], more).then(([receipt]) => receipt as SendReceipt);
  }

  sendAll(
    topic: string,
    texts: readonly string[],
    more: Partial<OutgoingMessage> = {},
  ): Promise<SendReceipt[]> {
    return this.port.send(texts.map((text) => ({ topic, tag: 'sent', body: Buffer.from(text), ...more })));
  }

  async collect(
    topic: string,
    options: Partial<Subscription> = {},
    verdict: Verdict = ack,
    port: BrokerPort = this.port,
  ): Promise<Collector> {
    const received: DeliveredMessage[] = [];
    const batchSizes: number[] = [];
    const subscription = { group: this.group(), topics: [{ topic }], ...options };
    const consumer = await port.subscribe(subscription, async (batch) => {
      batchSizes.push(batch.length);
      received.push(...batch);
      await Promise.all(batch.map(verdict));
    });
    return { received, batchSizes, consumer, texts: () => received.map(textOf) };
  }

  /** Kills and restarts the broker, after `downUntilMs` at the earliest. The stage's clients are made anew. */
  async restart(downUntilMs = 0): Promise<void> {
    await this.broker.restart(downUntilMs);
    await this.end();
    await this.port.ready();
  }

  keepTrace(): Promise<void> {
    return this.broker.keepTrace();
  }

  enforceRetention(): void {
    this.broker.enforceRetention();
  }

  async end(): Promise<void> {
    this.main = undefined;
    await Promise.all(this.ports.splice(0).map((port) => port.close()));
  }
}

export async function gathered(collector: Collector, count: number): Promise<void> {
  const { received } = collector;
  await until(
    () => received.length >= count,
    () => `${count} messages; there are ${received.length}: ${collector.texts().slice(0, 50).join(', ')}`,
  );
}
