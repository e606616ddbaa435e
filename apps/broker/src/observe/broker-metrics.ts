import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { BrokerAdmin, GroupInfo, TopicInfo } from '#libs/messaging/port';

/** The broker's own figures. Read from its admin calls at each scrape, so that nothing is counted twice and nothing is paid in between. */
export class BrokerMetrics {
  private readonly registry = new Registry();
  readonly contentType = this.registry.contentType;
  private admin: BrokerAdmin | undefined;
  private connections: () => number = () => 0;

  private readonly topicMessages = this.gauge('broker_topic_messages', 'Messages that a topic holds.', [
    'topic',
  ]);
  private readonly topicStored = this.gauge(
    'broker_topic_stored_total',
    'Messages ever stored in a topic: the sum of its end offsets.',
    ['topic'],
  );
  private readonly lag = this.gauge('broker_group_lag', 'Messages that a group has not settled.', ['group']);
  private readonly inFlight = this.gauge('broker_group_in_flight', 'Delivered and not settled.', ['group']);
  private readonly retrying = this.gauge('broker_group_retrying', 'Waiting for their next try.', ['group']);
  private readonly deadLetters = this.gauge('broker_group_dead_letters', 'Dead letters of a group.', [
    'group',
  ]);
  private readonly deadLettersDropped = this.gauge(
    'broker_group_dead_letters_dropped_total',
    'Dead letters that were dropped because they were too old or too many.',
    ['group'],
  );
  private readonly members = this.gauge('broker_group_members', 'Members of a group.', ['group']);
  private readonly acked = this.gauge('broker_group_acked_total', 'Settled since the broker started.', [
    'group',
  ]);
  private readonly missed = this.gauge(
    'broker_group_missed_total',
    'Messages that a group never got: dropped by retention, or not to be decoded.',
    ['group'],
  );
  private readonly unreadable = this.gauge(
    'broker_group_unreadable',
    'Partitions in which a group stands still because a message cannot be read from its file.',
    ['group'],
  );
  private readonly timers = this.gauge('broker_timers_pending', 'Delayed messages that are not due.');
  private readonly pastDue = this.gauge(
    'broker_timers_past_due',
    'Delayed messages that are due and not delivered yet.',
  );
  private readonly halfMessages = this.gauge(
    'broker_transactions_pending',
    'Transactions without a decision.',
  );
  private readonly parked = this.gauge(
    'broker_transactions_parked',
    'Transactions that wait for an operator.',
  );
  private readonly short = this.gauge(
    'broker_storage_short',
    '1 while the disk is nearly full: sends are refused, and consumers drain.',
  );
  private readonly free = this.gauge(
    'broker_storage_free_bytes',
    'Free on the disk of the journal beside the reserve; none when the file system does not say.',
  );
  private readonly reserve = this.gauge('broker_storage_reserved_bytes', 'What is left of the reserve.');
  private readonly clients = this.gauge('broker_connections', 'Open client connections.');

  constructor() {
    this.registry.setDefaultLabels({ service: 'broker' });
    collectDefaultMetrics({ register: this.registry });
  }

  /** From now on the broker's figures are there too. */
  observe(admin: BrokerAdmin, connections: () => number): void {
    this.admin = admin;
    this.connections = connections;
  }

  async scrape(): Promise<string> {
    if (this.admin !== undefined) await this.read(this.admin);
    return this.registry.metrics();
  }

  private async read(admin: BrokerAdmin): Promise<void> {
    const [topics, groups, timers, transactions, storage] = await Promise.all([
      admin.topics(),
      admin.groups(),
      admin.timers(),
      admin.transactions(),
      admin.storage(),
    ]);
    this.readTopics(topics);
    this.readGroups(groups);
    this.timers.set(timers.pending);
    this.pastDue.set(timers.pastDue);
    this.halfMessages.set(transactions.pending);
    this.parked.set(transactions.parked.length);
    this.short.set(storage.isShort ? 1 : 0);
    if (storage.freeBytes !== undefined) this.free.set(storage.freeBytes);
    this.reserve.set(storage.reservedBytes);
    this.clients.set(this.connections());
  }

  private readTopics(topics: readonly TopicInfo[]): void {
    for (const { topic, partitions } of topics) {
      const stored = partitions.reduce((sum, { endOffset }) => sum + endOffset, 0);
      this.topicStored.set({ topic }, stored);
      this.topicMessages.set(
        { topic },
        stored - partitions.reduce((sum, { startOffset }) => sum + startOffset, 0),
      );
    }
  }

  private readGroups(groups: readonly GroupInfo[]): void {
    for (const info of groups) {
      const { group, members, lag, inFlight, retrying, deadLetters, deadLettersDropped, acked, missed } =
        info;
      this.lag.set({ group }, lag);
      this.inFlight.set({ group }, inFlight);
      this.retrying.set({ group }, retrying);
      this.deadLetters.set({ group }, deadLetters);
      this.deadLettersDropped.set({ group }, deadLettersDropped);
      this.members.set({ group }, members.length);
      this.acked.set({ group }, acked);
      this.missed.set({ group }, missed.messages);
      this.unreadable.set({ group }, info.unreadable.length);
    }
  }

  private gauge(
    name: string,
    help: string,
    labelNames: ('topic' | 'group')[] = [],
  ): Gauge<'topic' | 'group'> {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }
}
