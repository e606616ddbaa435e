import {
  MessagingError,
  type OutgoingMessage,
  type SendReceipt,
  type Subscription,
  type TransactionDecision,
} from '#libs/messaging/port';
import { Consumer, MAX_CONSUMERS_PER_SESSION, consumerIdOf } from '../groups/consumer.js';
import type { Group } from '../groups/group.js';
import type { Membership } from '../groups/memberships.js';
import { checkSettlement } from '../groups/settlements.js';
import { startsAt } from '../groups/start-offsets.js';
import type {
  AdminCall,
  BrokerSession,
  ClientIdentity,
  ProducerIdentity,
  ProducerRegistration,
  ProducerStamp,
  RawDelivery,
  SessionEvents,
  Settlement,
} from '../session.js';
import type { ProducerSession } from '../transactions/producer-sessions.js';
import { Admin } from './admin.js';
import { ConsumerMode, SubscriptionArgument, checkArgument } from './arguments.js';
import type { Engine } from './engine.js';

/** `setTimeout` takes no more, and would not wait at all. */
const MAX_WAIT_MS = 2 ** 31 - 1;

/** One client's dealings with the engine. */
export class EngineSession implements BrokerSession, ProducerSession {
  /** By consumer id. */
  private readonly memberships = new Map<number, Membership>();
  private lastConsumerId = 0;
  private isClosed = false;
  private readonly admins: Admin;

  constructor(
    private readonly engine: Engine,
    private readonly client: ClientIdentity,
    private readonly events: SessionEvents,
    private readonly onClose: (session: EngineSession) => void,
  ) {
    this.admins = new Admin(engine, client.name);
  }

  private checkOpen(): void {
    if (this.isClosed) throw new MessagingError('CLOSED', 'the session is closed');
    if (this.engine.journal.failed) throw this.engine.journal.failed;
  }

  append(messages: readonly OutgoingMessage[], stamp?: ProducerStamp): Promise<SendReceipt[]> {
    if (this.isClosed) return Promise.reject(new MessagingError('CLOSED', 'the session is closed'));
    return stamp ? this.engine.sequencedSends.store(messages, stamp) : this.engine.sends.store(messages);
  }

  async openProducer(registration: ProducerRegistration): Promise<ProducerIdentity> {
    this.checkOpen();
    return this.engine.sequencedSends.register(registration);
  }

  async prepare(producerGroup: string, messages: readonly OutgoingMessage[]): Promise<string> {
    this.checkOpen();
    return this.engine.halfMessages.prepare(producerGroup, messages);
  }

  async decide(transactionId: string, decision: TransactionDecision): Promise<SendReceipt[]> {
    this.checkOpen();
    return this.engine.halfMessages.decide(transactionId, decision);
  }

  async registerProducer(producerGroup: string): Promise<void> {
    this.checkOpen();
    this.engine.producers.register(producerGroup, this);
  }

  check(transactionId: string, messages: readonly OutgoingMessage[], producerGroup: string): void {
    this.events.check(transactionId, messages, producerGroup);
  }

  async recall(timerId: string, topic?: string): Promise<boolean> {
    this.checkOpen();
    return this.engine.timers.recall(timerId, topic);
  }

  async reschedule(timerId: string, deliverAtMs: number, topic?: string): Promise<boolean> {
    this.checkOpen();
    return this.engine.timers.reschedule(timerId, deliverAtMs, topic);
  }

  async attach(subscription: Subscription, mode: 'push' | 'pull'): Promise<number> {
    this.checkOpen();
    checkArgument('subscription', subscription, SubscriptionArgument);
    checkArgument('mode', mode, ConsumerMode);
    const starts = await startsAt(this.engine, this.engine.state, subscription);
    this.checkOpen();
    const id = this.freeConsumerId();
    const membership = this.engine.memberships.join(subscription, starts, (group: Group) => {
      return new Consumer(
        id,
        group,
        this.client,
        this.events,
        mode,
        subscription,
        this.engine.dispatcher.deliveries,
      );
    });
    this.memberships.set(id, membership);
    // A group that was answered for exists after a crash, with the positions it started from.
    await this.engine.journal.flush('durable');
    return id;
  }

  private freeConsumerId(): number {
    if (this.memberships.size >= MAX_CONSUMERS_PER_SESSION) {
      throw new MessagingError(
        'INVALID_ARGUMENT',
        `a session has at most ${MAX_CONSUMERS_PER_SESSION} consumers`,
      );
    }
    do this.lastConsumerId = (this.lastConsumerId + 1) % MAX_CONSUMERS_PER_SESSION;
    while (this.memberships.has(this.lastConsumerId));
    return this.lastConsumerId;
  }

  pause(consumerId: number): Promise<void> {
    const membership = this.memberships.get(consumerId);
    if (membership) membership.consumer.paused = true;
    return Promise.resolve();
  }

  detach(consumerId: number): Promise<void> {
    const membership = this.memberships.get(consumerId);
    this.memberships.delete(consumerId);
    if (membership) this.engine.memberships.leave(membership, { isLost: false });
    return Promise.resolve();
  }

  pull(consumerId: number, maxMessages: number, waitMs: number): Promise<readonly RawDelivery[]> {
    const { group, consumer } = this.memberships.get(consumerId) ?? {};
    if (!group || consumer?.mode !== 'pull') {
      return Promise.reject(new MessagingError('INVALID_ARGUMENT', `consumer ${consumerId} does not pull`));
    }
    if (!(maxMessages >= 1 && waitMs <= MAX_WAIT_MS)) {
      const what = `maxMessages ${maxMessages}, waitMs ${waitMs}`;
      return Promise.reject(new MessagingError('INVALID_ARGUMENT', `${what}: from 1, and to 2^31 - 1`));
    }
    if (consumer.pull)
      return Promise.reject(new MessagingError('INVALID_ARGUMENT', 'a pull of this consumer is under way'));
    return new Promise((resolve) => {
      let timeout: NodeJS.Timeout | undefined;
      const pull = {
        wanted: Math.floor(maxMessages),
        resolve: (deliveries: readonly RawDelivery[]) => {
          clearTimeout(timeout);
          resolve(deliveries);
        },
      };
      consumer.pull = pull;
      this.engine.dispatcher.pump(group);
      if (consumer.pull !== pull) return;
      const giveUp = (): void => {
        if (consumer.pull !== pull) return;
        const { dispatcher, journal } = this.engine;
        // What it waits for may be on its way from a file; or to it, as what is delivered at most once is before it is handed over.
        if (dispatcher.blocks.isLoading(group) || (consumer.outbox.length > 0 && !journal.failed)) {
          timeout = setTimeout(giveUp, 2);
          return;
        }
        consumer.pull = undefined;
        resolve([]);
      };
      timeout = setTimeout(giveUp, Math.max(0, waitMs));
    });
  }

  settle(settlements: readonly Settlement[]): Promise<boolean[]> {
    return new Promise((resolve, reject) => {
      if (this.engine.journal.failed) return reject(this.engine.journal.failed);
      // All of them first: what is refused has settled nothing.
      settlements.forEach(checkSettlement);
      const now = this.engine.now();
      const results = new Array<boolean>(settlements.length);
      for (let i = 0; i < settlements.length; i++) {
        const settlement = settlements[i]!;
        const consumer = this.memberships.get(consumerIdOf(settlement.deliveryId))?.consumer;
        results[i] = this.engine.settlements.settle(consumer, settlement, now);
      }
      this.engine.journal.flushThen('written', { resolve: () => resolve(results), reject });
    });
  }

  async admin(call: AdminCall): Promise<unknown> {
    this.checkOpen();
    return this.admins.call(call);
  }

  /** Leaves everything; unsettled deliveries go to others at once, as further tries: who leaves in good order detaches first. */
  close(): Promise<void> {
    this.end(undefined);
    return Promise.resolve();
  }

  end(error: Error | undefined): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.engine.producers.forget(this);
    for (const membership of this.memberships.values()) {
      membership.consumer.pull?.resolve([]);
      this.engine.memberships.leave(membership, { isLost: true });
    }
    this.memberships.clear();
    this.onClose(this);
    this.events.closed(error);
  }
}
