import { MessagingError } from '#libs/messaging/port';
import type { OutgoingMessage, SendReceipt, Subscription, TransactionDecision } from '#libs/messaging/port';
import type {
  AdminCall,
  BrokerSession,
  ProducerIdentity,
  ProducerStamp,
  RawDelivery,
  SessionEvents,
  Settlement,
} from '../session.js';

type FakeConsumer = { session: FakeSession; subscription: Subscription; inFlight: number; push: boolean };

/** A broker without a log, for specs of client and server: one queue, no groups, no time. */
export class FakeBroker {
  readonly appends: OutgoingMessage[][] = [];
  readonly stamps: (ProducerStamp | undefined)[] = [];
  readonly sessions: FakeSession[] = [];
  readonly ids = new Map<string, number>();
  readonly decisions: [string, TransactionDecision][] = [];
  readonly queue: RawDelivery[] = [];
  readonly consumers = new Map<number, FakeConsumer>();
  readonly unsettled = new Map<number, { consumerId: number; raw: RawDelivery }>();
  readonly settled: Settlement[] = [];
  /** What `append` waits for; a spec that wants answers to be late puts a promise here. */
  hold: Promise<void> = Promise.resolve();
  /** Subscriptions that are refused, though they keep to the rules. */
  refuses: (subscription: Subscription) => boolean = () => false;
  private lastDelivery = 0;
  private lastConsumer = 100;
  private offset = 0;

  openSession(clientName: string, events: SessionEvents, node = 'here'): FakeSession {
    const session = new FakeSession(this, clientName, events, node);
    this.sessions.push(session);
    return session;
  }

  async append(messages: readonly OutgoingMessage[]): Promise<SendReceipt[]> {
    const bad = messages.find(({ topic }) => topic === 'bad topic');
    if (bad !== undefined) throw new MessagingError('INVALID_ARGUMENT', 'a bad topic');
    this.appends.push([...messages]);
    await this.hold;
    const receipts = messages.map((message) => this.store(message));
    this.dispatch();
    return receipts;
  }

  attach(session: FakeSession, subscription: Subscription, push: boolean): number {
    const id = ++this.lastConsumer;
    this.consumers.set(id, { session, subscription, inFlight: 0, push });
    this.dispatch();
    return id;
  }

  leave(consumerId: number): void {
    this.consumers.delete(consumerId);
    for (const [id, entry] of [...this.unsettled]) {
      if (entry.consumerId === consumerId) this.requeue(id, entry.raw);
    }
    this.dispatch();
  }

  /** Takes a delivery away from its consumer, as an expired lease does. */
  expire(deliveryId: number): void {
    const entry = this.unsettled.get(deliveryId);
    if (entry === undefined) return;
    this.unsettled.delete(deliveryId);
    const consumer = this.consumers.get(entry.consumerId);
    consumer?.session.events.leaseLost(entry.consumerId, [deliveryId]);
  }

  settle(settlement: Settlement): boolean {
    const entry = this.unsettled.get(settlement.deliveryId);
    if (entry === undefined) return false;
    this.settled.push(settlement);
    if (settlement.verdict === 'extend') return true;
    const consumer = this.consumers.get(entry.consumerId);
    if (consumer !== undefined) consumer.inFlight--;
    if (settlement.verdict === 'retry') this.requeue(settlement.deliveryId, entry.raw);
    else this.unsettled.delete(settlement.deliveryId);
    return true;
  }

  take(consumerId: number, max: number): RawDelivery[] {
    const consumer = this.consumers.get(consumerId);
    if (consumer === undefined) return [];
    const room = Math.min(max, (consumer.subscription.maxInFlightMessages ?? 256) - consumer.inFlight);
    const taken = this.queue.splice(0, room).map((raw) => ({ ...raw, deliveryId: ++this.lastDelivery }));
    consumer.inFlight += taken.length;
    for (const raw of taken) this.unsettled.set(raw.deliveryId, { consumerId, raw });
    return taken;
  }

  dispatch(): void {
    for (const [id, { session, push }] of this.consumers) {
      const taken = push ? this.take(id, Infinity) : [];
      if (taken.length > 0) session.events.deliveries(id, taken);
    }
  }

  private requeue(deliveryId: number, raw: RawDelivery): void {
    this.unsettled.delete(deliveryId);
    this.queue.push({ ...raw, attempt: raw.attempt + 1 });
  }

  private store(message: OutgoingMessage): SendReceipt {
    const { topic, tag, key, body, headers = {}, priority = 4, id = '' } = message;
    const known = this.ids.get(id);
    const offset = known ?? this.offset++;
    if (known === undefined) {
      this.ids.set(id, offset);
      const stored = {
        id,
        topic,
        tag,
        key,
        body,
        headers,
        priority,
        partition: 0,
        offset,
        bornAtMs: 1,
        storedAtMs: 2,
      };
      this.queue.push({ deliveryId: 0, attempt: 1, history: [], message: stored });
    }
    return { status: 'SEND_OK', messageId: id, topic, partition: 0, offset, duplicate: known !== undefined };
  }
}

export class FakeSession implements BrokerSession {
  readonly producerGroups: string[] = [];
  readonly subscriptions: Subscription[] = [];
  open = true;
  private readonly mine = new Set<number>();

  constructor(
    private readonly broker: FakeBroker,
    readonly clientName: string,
    readonly events: SessionEvents,
    readonly node: string,
  ) {}

  append(messages: readonly OutgoingMessage[], stamp?: ProducerStamp): Promise<SendReceipt[]> {
    this.broker.stamps.push(stamp);
    return this.broker.append(messages);
  }

  openProducer(): Promise<ProducerIdentity> {
    return Promise.resolve({ producerId: 1, epoch: 1 });
  }

  prepare(producerGroup: string): Promise<string> {
    return Promise.resolve(`${producerGroup}-1`);
  }

  decide(transactionId: string, decision: TransactionDecision): Promise<SendReceipt[]> {
    this.broker.decisions.push([transactionId, decision]);
    return Promise.resolve([]);
  }

  registerProducer(producerGroup: string): Promise<void> {
    this.producerGroups.push(producerGroup);
    return Promise.resolve();
  }

  recall(timerId: string): Promise<boolean> {
    return Promise.resolve(timerId === 'known');
  }

  reschedule(timerId: string): Promise<boolean> {
    return this.recall(timerId);
  }

  attach(subscription: Subscription, mode: 'push' | 'pull'): Promise<number> {
    this.subscriptions.push(subscription);
    if (this.broker.refuses(subscription)) {
      return Promise.reject(new MessagingError('INVALID_ARGUMENT', 'its group has another order by now'));
    }
    const id = this.broker.attach(this, subscription, mode === 'push');
    this.mine.add(id);
    return Promise.resolve(id);
  }

  pause(): Promise<void> {
    return Promise.resolve();
  }

  detach(consumerId: number): Promise<void> {
    this.mine.delete(consumerId);
    this.broker.leave(consumerId);
    return Promise.resolve();
  }

  pull(consumerId: number, maxMessages: number): Promise<readonly RawDelivery[]> {
    return Promise.resolve(this.broker.take(consumerId, maxMessages));
  }

  settle(settlements: readonly Settlement[]): Promise<boolean[]> {
    const recorded = settlements.map((settlement) => this.broker.settle(settlement));
    this.broker.dispatch();
    return Promise.resolve(recorded);
  }

  admin({ method, args }: AdminCall): Promise<unknown> {
    return Promise.resolve(method === 'createTopic' ? undefined : { method, args });
  }

  close(): Promise<void> {
    this.open = false;
    for (const id of this.mine) this.broker.leave(id);
    return Promise.resolve();
  }
}
