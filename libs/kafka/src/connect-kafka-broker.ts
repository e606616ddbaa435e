import {
  type BatchHandler,
  type BrokerAdmin,
  type BrokerConsumer,
  type BrokerPort,
  type DeliveredMessage,
  MessagingError,
  type OutgoingMessage,
  type PendingTransaction,
  type SendReceipt,
  type Subscription,
} from '#libs/messaging/port';
import { Audit } from './admin/audit.js';
import { kafkaAdmin } from './admin/kafka-admin.js';
import { connectKafka } from './client/connect-kafka.js';
import type { KafkaClient } from './client/kafka-client.js';
import type { ClientLog, ConnectionConfig } from './client/kafkajs.js';
import { Consumer, type ConsumerTimes } from './consuming/consumer.js';
import { DeadLetters } from './dead-letters/dead-letters.js';
import { Sends } from './sending/sends.js';
import { TopicCatalog } from './topic-catalog.js';
import { unsupported } from './unsupported.js';

export type KafkaBrokerOptions = ConnectionConfig & {
  /** Shown in members, attempt histories and the audit. */
  clientName: string;
  log: ClientLog;
  /** Of topics that this client makes; default: what the cluster's default is. */
  replicas?: number;
  compression?: 'none' | 'gzip';
  times?: Partial<ConsumerTimes>;
};

const DEFAULT_TIMES: ConsumerTimes = {
  sessionTimeoutMs: 10_000,
  heartbeatMs: 500,
  rebalanceTimeoutMs: 30_000,
};
const REQUEST_TIMEOUT_MS = 10_000;
const PRODUCERS_PER_TOPIC = 2;
const DEFAULT_READY_MS = 10_000;

/** The broker port on Kafka. What it refuses, and what is different, is in README.md. */
export const connectKafkaBroker = (options: KafkaBrokerOptions): BrokerPort => new KafkaPort(options);

class KafkaPort implements BrokerPort {
  readonly admin: BrokerAdmin;
  private readonly client: KafkaClient;
  private readonly catalog: TopicCatalog;
  private readonly sends: Sends;
  private readonly consumers = new Set<Consumer>();
  private readonly pulls = new Map<string, Promise<Consumer>>();
  private closing: Promise<void> | undefined;

  constructor(private readonly options: KafkaBrokerOptions) {
    const { clientName, log, replicas = -1, compression = 'none' } = options;
    this.client = connectKafka({
      ...options,
      clientId: clientName,
      log,
      compression,
      producersPerTopic: PRODUCERS_PER_TOPIC,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
    });
    this.catalog = new TopicCatalog(this.client, { replicas });
    this.sends = new Sends(this.client, this.catalog);
    const audit = new Audit(this.client, this.catalog, clientName);
    const deadLetters = new DeadLetters(this.client, this.catalog, audit);
    const tellFlight = () => Promise.all([...this.consumers].map((consumer) => consumer.tellFlight()));
    this.admin = kafkaAdmin({ client: this.client, catalog: this.catalog, deadLetters, audit, tellFlight });
  }

  async send(messages: readonly OutgoingMessage[]): Promise<SendReceipt[]> {
    return this.sends.send(messages);
  }

  sendOneway(messages: readonly OutgoingMessage[]): void {
    this.send(messages).catch((error: unknown) => {
      // The caller chose not to know; a trace in the log is all that is owed.
      this.options.log.info({ error: String(error) }, 'a one-way send was lost');
    });
  }

  async prepare(): Promise<PendingTransaction> {
    throw unsupported('transactional messages', 'prepare');
  }

  async onCheckBack(): Promise<void> {
    throw unsupported('transactional messages', 'onCheckBack');
  }

  async recall(): Promise<boolean> {
    throw unsupported('delay', 'recall');
  }

  async reschedule(): Promise<boolean> {
    throw unsupported('delay', 'reschedule');
  }

  async subscribe(subscription: Subscription, handler: BatchHandler): Promise<BrokerConsumer> {
    this.assertOpen();
    const consumer = await Consumer.start(this.consumerParts, subscription, handler);
    this.consumers.add(consumer);
    return {
      close: async (drainMs) => {
        await consumer.close(drainMs);
        this.consumers.delete(consumer);
      },
    };
  }

  async pull(
    subscription: Subscription,
    { maxMessages, waitMs }: { maxMessages: number; waitMs: number },
  ): Promise<readonly DeliveredMessage[]> {
    this.assertOpen();
    const key = JSON.stringify(subscription);
    let starting = this.pulls.get(key);
    if (starting === undefined) {
      starting = Consumer.start(this.consumerParts, subscription);
      this.pulls.set(key, starting);
      starting.then(
        (consumer) => this.consumers.add(consumer),
        () => this.pulls.delete(key),
      );
    }
    return (await starting).pull(maxMessages, waitMs);
  }

  async ready(timeoutMs = DEFAULT_READY_MS): Promise<void> {
    this.assertOpen();
    const stopped = [...this.consumers].find(({ stoppedBy }) => stoppedBy !== undefined)?.stoppedBy;
    if (stopped !== undefined)
      throw new MessagingError('BROKER_UNAVAILABLE', `a consumer has ended by itself: ${stopped.message}`);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new MessagingError('BROKER_UNAVAILABLE', `Kafka did not answer in ${timeoutMs} ms`);
      timer = setTimeout(() => reject(error), timeoutMs);
    });
    await Promise.race([this.client.topics(), late]).finally(() => clearTimeout(timer));
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    await Promise.allSettled([...this.consumers].map((consumer) => consumer.close()));
    await this.client.close();
  }

  private get consumerParts() {
    const { client, catalog } = this;
    const { log, clientName, times } = this.options;
    return { client, catalog, log, clientName, times: { ...DEFAULT_TIMES, ...times } };
  }

  private assertOpen(): void {
    if (this.closing !== undefined) throw new MessagingError('CLOSED', 'the client is closed');
  }
}
