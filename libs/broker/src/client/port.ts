import { MessagingError } from '#libs/messaging/port';
import type {
  BatchHandler,
  BrokerAdmin,
  BrokerConsumer,
  BrokerPort,
  CheckBack,
  DeliveredMessage,
  OutgoingMessage,
  PendingTransaction,
  SendReceipt,
  Subscription,
} from '#libs/messaging/port';
import { REMEMBERED_BATCHES } from '../producers/sequences.js';
import type { BrokerSession, RawDelivery, SessionEvents } from '../session.js';
import { OpenDeliveries, PushConsumer } from './consumer.js';
import { Settler } from './delivery.js';
import { defaultLog, errorText } from './log.js';
import type { ClientLog } from './log.js';
import { messageIds } from './message-id.js';
import { SendBuffer, withIds } from './send-buffer.js';
import { Sequencer } from './sequencer.js';
import { SessionAdmin } from './session-admin.js';

const DEFAULT_READY_MS = 10_000;
const DEFAULT_IN_FLIGHT = 256;
const MAX_IN_FLIGHT = 65_536;
const MAX_BATCH = 10_000;

/** A session that may also say when it can be used. One in the broker's own process always can. */
export type OpenableSession = BrokerSession & { ready?(timeoutMs: number): Promise<void> };
/** A session that outlives its connections also tells when one is gone, and with it every delivery. */
export interface PortEvents extends SessionEvents {
  disconnected(): void;
}
export type OpenSession = (events: PortEvents) => OpenableSession;

export type PortOptions = {
  /** Most messages sent and not yet answered; more are refused with `BUFFER_FULL`. Default 131,072. */
  maxPendingMessages?: number;
  /** Most body bytes sent and not yet answered. Default 64 MiB. */
  maxPendingBytes?: number;
  log?: ClientLog;
  /**
   * Number the sends, so that the broker stores a repeated one once and refuses a gap. Over TCP that is always so;
   * in process, where no answer can be lost, only when it is asked for. A `name` is the producer's own over restarts: a
   * newer instance fences the older, whose sends are then refused with `PRODUCER_FENCED`.
   */
  producer?: { name?: string };
  /** The session is in this process: it loses no answers, so messages without an id may get theirs from the broker. */
  inProcess?: boolean;
};

/** The one `BrokerPort` of this package, in process and over TCP alike. */
export function portOver(openSession: OpenSession, options: PortOptions = {}): BrokerPort {
  return new SessionPort(openSession, options);
}

type PullConsumer = { id: number; deliveries: OpenDeliveries };

class SessionPort implements BrokerPort, PortEvents {
  readonly admin: BrokerAdmin;
  private readonly session: OpenableSession;
  private readonly sends: SendBuffer;
  private readonly settler: Settler;
  private readonly log: ClientLog;
  private readonly nextId = messageIds();
  private readonly consumers = new Map<number, PushConsumer>();
  private readonly pulls = new Map<string, Promise<PullConsumer>>();
  private readonly pullDeliveries = new Map<number, OpenDeliveries>();
  private readonly checks = new Map<string, CheckBack>();
  /** Deliveries that came before `attach` told the consumer's id. Bounded by what the subscription allows in flight. */
  private readonly early = new Map<number, RawDelivery[]>();
  private attaching = 0;
  private closing: Promise<void> | undefined;
  /** Set once consumers have drained: until then a handler at work may still send and decide. */
  private ended = false;

  constructor(openSession: OpenSession, options: PortOptions) {
    this.log = options.log ?? defaultLog();
    this.session = openSession(this);
    this.settler = new Settler(this.session);
    this.admin = new SessionAdmin(this.session);
    const { producer } = options;
    const sequenced = producer ? new Sequencer(this.session, producer.name) : this.session;
    this.sends = new SendBuffer(sequenced, options.inProcess ? undefined : this.nextId, {
      maxPendingMessages: options.maxPendingMessages ?? 131_072,
      maxPendingBytes: options.maxPendingBytes ?? 64 * 1024 * 1024,
      maxAppends: producer ? REMEMBERED_BATCHES : Infinity,
    });
  }

  send(messages: readonly OutgoingMessage[]): Promise<SendReceipt[]> {
    if (this.ended) return Promise.reject(closed());
    return this.sends.send(messages);
  }

  sendOneway(messages: readonly OutgoingMessage[]): void {
    this.send(messages).catch((error: unknown) => {
      // The caller chose not to know; a trace in the log is all that is owed.
      this.log.info({ error: errorText(error) }, 'a one-way send was lost');
    });
  }

  async prepare(producerGroup: string, messages: readonly OutgoingMessage[]): Promise<PendingTransaction> {
    this.assertOpen();
    const { session } = this;
    const transactionId = await session.prepare(producerGroup, withIds(messages, this.nextId));
    return {
      transactionId,
      commit: () => session.decide(transactionId, 'commit'),
      rollback: async () => void (await session.decide(transactionId, 'rollback')),
    };
  }

  async onCheckBack(producerGroup: string, check: CheckBack): Promise<void> {
    this.assertOpen();
    this.checks.set(producerGroup, check);
    await this.session.registerProducer(producerGroup);
  }

  async recall(timerId: string, topic?: string): Promise<boolean> {
    this.assertOpen();
    return this.session.recall(timerId, topic);
  }

  async reschedule(timerId: string, deliverAtMs: number, topic?: string): Promise<boolean> {
    this.assertOpen();
    return this.session.reschedule(timerId, deliverAtMs, topic);
  }

  async subscribe(subscription: Subscription, handler: BatchHandler): Promise<BrokerConsumer> {
    this.assertJoinable();
    const limits = limitsOf(subscription);
    this.attaching++;
    try {
      const id = await this.session.attach(subscription, 'push');
      const forget = (gone: number): void => void this.consumers.delete(gone);
      const { session, settler, log } = this;
      const consumer = new PushConsumer({ id, session, settler, subscription, limits, handler, log, forget });
      this.consumers.set(id, consumer);
      consumer.take(this.early.get(id) ?? []);
      this.early.delete(id);
      return consumer;
    } finally {
      this.attaching--;
      if (this.attaching === 0) this.early.clear();
    }
  }

  async pull(
    subscription: Subscription,
    { maxMessages, waitMs }: { maxMessages: number; waitMs: number },
  ): Promise<readonly DeliveredMessage[]> {
    this.assertJoinable();
    const { id, deliveries } = await this.pullConsumer(subscription);
    const raws = await this.session.pull(id, maxMessages, waitMs);
    return raws.map((raw) => deliveries.add(raw));
  }

  async ready(timeoutMs = DEFAULT_READY_MS): Promise<void> {
    this.assertOpen();
    await this.session.ready?.(timeoutMs);
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  deliveries(consumerId: number, deliveries: readonly RawDelivery[]): void {
    const consumer = this.consumers.get(consumerId);
    if (consumer !== undefined) {
      consumer.take(deliveries);
    } else if (this.attaching > 0) {
      const early = this.early.get(consumerId);
      if (early === undefined) this.early.set(consumerId, [...deliveries]);
      else early.push(...deliveries);
    }
    // Else they are for a consumer that has just left; the broker gives them to another.
  }

  leaseLost(consumerId: number, deliveryIds: readonly number[]): void {
    this.consumers.get(consumerId)?.deliveries.lose(deliveryIds);
    this.pullDeliveries.get(consumerId)?.lose(deliveryIds);
    const early = this.early.get(consumerId);
    if (early === undefined) return;
    const lost = new Set(deliveryIds);
    this.early.set(
      consumerId,
      early.filter(({ deliveryId }) => !lost.has(deliveryId)),
    );
  }

  check(transactionId: string, messages: readonly OutgoingMessage[], producerGroup: string): void {
    const check = this.checks.get(producerGroup);
    if (check === undefined) return;
    void this.answerCheck(check, transactionId, messages);
  }

  closed(error?: Error): void {
    if (error !== undefined) this.log.warn({ error: error.message }, 'the broker ended this session');
    this.closing ??= Promise.resolve();
    this.ended = true;
    for (const consumer of this.consumers.values()) consumer.abandon();
    for (const deliveries of this.pullDeliveries.values()) deliveries.loseAll();
    this.consumers.clear();
    this.early.clear();
  }

  disconnected(): void {
    for (const consumer of this.consumers.values()) consumer.deliveries.loseAll();
    for (const deliveries of this.pullDeliveries.values()) deliveries.loseAll();
    this.early.clear();
  }

  /** A check that throws gives no answer, so it does not use up one of the broker's checks. */
  private async answerCheck(
    check: CheckBack,
    transactionId: string,
    messages: readonly OutgoingMessage[],
  ): Promise<void> {
    try {
      await this.session.decide(transactionId, await check(transactionId, messages));
    } catch (error) {
      // A decision that came another way meanwhile ends here too: it was first, so it stands.
      this.log.warn({ transactionId, error: errorText(error) }, 'a check-back went unanswered');
    }
  }

  /** Members of pull groups stay between pulls; joining anew each time would rebalance each time. */
  private pullConsumer(subscription: Subscription): Promise<PullConsumer> {
    const name = JSON.stringify(subscription);
    const known = this.pulls.get(name);
    if (known !== undefined) return known;
    const joining = this.session.attach(subscription, 'pull').then((id) => {
      const deliveries = new OpenDeliveries(this.settler, limitsOf(subscription).maxInFlightMessages);
      this.pullDeliveries.set(id, deliveries);
      return { id, deliveries };
    });
    this.pulls.set(name, joining);
    joining.catch(() => this.pulls.delete(name));
    return joining;
  }

  private async shutDown(): Promise<void> {
    await Promise.allSettled([...this.consumers.values()].map((consumer) => consumer.close()));
    this.ended = true;
    await Promise.all([this.sends.drained(), this.settler.drained()]);
    await this.session.close();
    for (const deliveries of this.pullDeliveries.values()) deliveries.loseAll();
  }

  private assertOpen(): void {
    if (this.ended) throw closed();
  }

  private assertJoinable(): void {
    if (this.closing !== undefined) throw closed();
  }
}

function closed(): MessagingError {
  return new MessagingError('CLOSED', 'this connection to the broker was closed');
}

function limitsOf(subscription: Subscription): { maxBatchMessages: number; maxInFlightMessages: number } {
  const maxBatchMessages = subscription.maxBatchMessages ?? 1;
  const maxInFlightMessages = subscription.maxInFlightMessages ?? DEFAULT_IN_FLIGHT;
  assertBetween('maxBatchMessages', maxBatchMessages, MAX_BATCH);
  assertBetween('maxInFlightMessages', maxInFlightMessages, MAX_IN_FLIGHT);
  return { maxBatchMessages, maxInFlightMessages };
}

function assertBetween(name: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= max) return;
  throw new MessagingError(
    'INVALID_ARGUMENT',
    `${name} is ${value}, it must be a whole number from 1 to ${max}`,
  );
}
