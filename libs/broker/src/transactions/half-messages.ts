import { randomUUID } from 'node:crypto';
import {
  MessagingError,
  type OutgoingMessage,
  type SendReceipt,
  type TransactionDecision,
  checkMessages,
} from '#libs/messaging/port';
import type { AuditNote } from '../audit/audit.js';
import type { BrokerHost } from '../host.js';
import type { Block } from '../journal/block.js';
import { EntryType } from '../journal/format.js';
import { Admission } from '../producers/admission.js';
import { storedReceipt, waitingReceipt } from '../producers/receipts.js';
import { timerHandleOf } from '../timers/handles.js';
import type { Recalls } from '../timers/recalls.js';
import { PartitionAppender } from '../topics/partition-appender.js';
import { readRecord } from '../topics/read-message.js';
import { DEFAULT_PRIORITY, NO_OFFSET, NO_PARTITION, recordAt } from '../topics/record.js';
import { copyToTimers, maxRecordBytes, writeRecord } from '../topics/write-record.js';
import type { Topic, Topics } from '../topics/topics.js';
import { type ProducerSession, type ProducerSessions, checkProducerGroup } from './producer-sessions.js';
import type { Transaction, TransactionOptions, Transactions } from './transactions.js';

type Half = { block: Block; position: number };

type TransactionStores = {
  readonly topics: Topics;
  readonly transactions: Transactions;
  readonly recalls: Recalls;
};

/** Half messages on their way to a decision (RocketMQ's transactional messages). */
export class HalfMessages {
  private checksAllowed = 0;
  private allowanceAtMs = 0;

  constructor(
    private readonly host: BrokerHost,
    private readonly stores: TransactionStores,
    private readonly producers: ProducerSessions,
    private readonly options: Pick<TransactionOptions, 'firstCheckMs' | 'maxChecksPerSecond'>,
    /** An id for a message that has none. */
    private readonly newId: () => string,
  ) {}

  async prepare(producerGroup: string, messages: readonly OutgoingMessage[]): Promise<string> {
    const { host } = this;
    const now = host.now();
    checkProducerGroup(producerGroup);
    checkMessages(messages, now);
    this.stores.transactions.checkRoom();
    const topics = messages.map(({ topic }) => host.topic(topic));
    checkRoom(topics, messages);
    const id = randomUUID();
    const bytes = messages.reduce((sum, message) => sum + maxRecordBytes(message), 0);
    host.space.admit(bytes);
    host.commit(EntryType.PREPARED, { id, producerGroup, atMs: now }, bytes, (out) => {
      messages.forEach((message, i) => {
        const messageId = message.id ?? this.newId();
        writeRecord(out, {
          topicId: topics[i]!.id,
          partition: NO_PARTITION,
          offset: NO_OFFSET,
          id: messageId,
          tag: message.tag,
          key: message.key,
          timerId: message.timerId,
          headers: message.headers ?? {},
          body: message.body,
          bornAtMs: now,
          storedAtMs: now,
          deliverAtMs: message.deliverAtMs ?? 0,
          ttlMs: message.ttlMs ?? 0,
          priority: message.priority ?? DEFAULT_PRIORITY,
        });
        host.trace.add(messageId, 'prepared', now, undefined, id);
      });
    });
    host.dueAt(now + this.options.firstCheckMs);
    await host.journal.flush('durable');
    return id;
  }

  /** The first decision wins. `audit`: it is an operator's, not the producer's. `unknown` changes nothing: the producer is asked again later. */
  async decide(id: string, decision: TransactionDecision, audit?: AuditNote): Promise<SendReceipt[]> {
    const { host } = this;
    const { transactions } = this.stores;
    // It may come from another process: anything but these would count as a rollback below.
    if (!['commit', 'rollback', 'unknown'].includes(decision)) {
      throw new MessagingError('INVALID_ARGUMENT', `no decision ${JSON.stringify(decision)}`);
    }
    if (decision === 'unknown') return this.leaveOpen(id);
    if (transactions.wasDecided(id, decision)) {
      // The first decision may still be on its way to the disk.
      await host.journal.flush('durable');
      return [];
    }
    const transaction = transactions.find(id)!;
    const halves: Half[] = [];
    for (const position of transaction.positions) halves.push({ position, block: await host.load(position) });
    // Somebody else may have decided while the messages were read.
    if (transactions.wasDecided(id, decision)) {
      await host.journal.flush('durable');
      return [];
    }
    const receipts =
      decision === 'commit'
        ? this.commit(transaction, halves, audit)
        : this.rollBack(transaction, halves, audit);
    await host.journal.flush('durable');
    return receipts;
  }

  /**
   * The answer to a check-back is counted, on disk before the producer is told: it must be parked after its last
   * check, however often the broker restarts. What a producer says unasked is not.
   */
  private async leaveOpen(id: string): Promise<SendReceipt[]> {
    const { host } = this;
    const transaction = this.stores.transactions.find(id);
    if (!transaction) this.stores.transactions.wasDecided(id, 'commit');
    const askedAtMs = transaction?.askedAtMs;
    if (askedAtMs === undefined) return [];
    host.commit(EntryType.CHECKED, { id, askedAtMs });
    await host.journal.flush('durable');
    return [];
  }

  private rollBack(
    { id }: Transaction,
    halves: readonly Half[],
    audit: AuditNote | undefined,
  ): SendReceipt[] {
    const { host } = this;
    host.commit(EntryType.DECIDED, { id, decision: 'rollback', audit });
    for (const { block, position } of halves) {
      host.trace.add(recordAt.id(block, position), 'rolled-back', host.now(), undefined, id);
    }
    return [];
  }

  private commit(
    { id, preparedAt }: Transaction,
    halves: readonly Half[],
    audit: AuditNote | undefined,
  ): SendReceipt[] {
    const { host } = this;
    const now = host.now();
    const receipts: SendReceipt[] = [];
    const bytes = halves.reduce((sum, { block, position }) => sum + recordAt.length(block, position), 0);
    host.commit(EntryType.DECIDED, { id, decision: 'commit', audit }, bytes, (out) => {
      const partitions = new PartitionAppender(out, now);
      for (const { block, position } of halves) {
        const topic = this.stores.topics.byTopicId(recordAt.topicId(block, position));
        const messageId = recordAt.id(block, position);
        const dueAtMs = recordAt.deliverAtMs(block, position);
        if (dueAtMs > 0 && this.wasRecalled(block, position, topic, preparedAt)) {
          host.trace.add(messageId, 'timer-recalled', now, undefined, id);
          receipts.push(waitingReceipt(messageId, topic));
          continue;
        }
        host.trace.add(messageId, 'committed', now, undefined, id);
        if (dueAtMs > now) {
          copyToTimers(out, block, position, { storedAtMs: now, deliverAtMs: dueAtMs });
          host.dueAt(dueAtMs);
          receipts.push(waitingReceipt(messageId, topic));
        } else {
          const { partition, offset } = partitions.append(topic, block, position);
          receipts.push(storedReceipt(messageId, topic, partition, offset));
        }
      }
    });
    return receipts;
  }

  /** Whether its handle was taken back since it was prepared: that was said of this message as well. */
  private wasRecalled(block: Block, position: number, topic: Topic, preparedAt: number): boolean {
    const recalledAt = this.stores.recalls.positionOf(timerHandleOf(block, position), topic.id);
    return recalledAt !== undefined && recalledAt > preparedAt;
  }

  /** Asks producers for the decisions that are overdue, at the pace that the options allow. */
  check(): void {
    const { host } = this;
    const { transactions } = this.stores;
    if (transactions.size === 0) return;
    const now = host.now();
    const perSecond = this.options.maxChecksPerSecond;
    const elapsed = Math.max(0, now - this.allowanceAtMs);
    this.checksAllowed = Math.min(perSecond, this.checksAllowed + (elapsed * perSecond) / 1000);
    this.allowanceAtMs = now;
    const isReachable = (group: string): boolean => this.producers.has(group);
    for (const transaction of transactions.due(now, Math.floor(this.checksAllowed), isReachable)) {
      const producer = this.producers.nextOf(transaction.producerGroup);
      if (!producer) continue;
      this.checksAllowed -= 1;
      transactions.asked(transaction, now);
      this.ask(transaction, producer).catch((error: unknown) =>
        host.report({ message: `transaction ${transaction.id} could not be asked for`, error }),
      );
    }
  }

  private async ask(transaction: Transaction, producer: ProducerSession): Promise<void> {
    const { host } = this;
    const messages: OutgoingMessage[] = [];
    for (const position of transaction.positions) {
      const block = await host.load(position);
      const topic = this.stores.topics.byTopicId(recordAt.topicId(block, position));
      messages.push(outgoing(readRecord(block, position, topic.name)));
    }
    for (const { id } of messages) host.trace.add(id!, 'checked', host.now(), undefined, transaction.id);
    if (this.stores.transactions.find(transaction.id)) {
      producer.check(transaction.id, messages, transaction.producerGroup);
    }
  }
}

/** Refuses half messages for a full topic: once they are committed, nobody can be told. */
function checkRoom(topics: readonly Topic[], messages: readonly OutgoingMessage[]): void {
  const admission = new Admission();
  topics.forEach((topic, i) => {
    const { limit } = topic;
    if (limit) admission.admit(topic, { ...limit, whenFull: 'reject' }, maxRecordBytes(messages[i]!));
  });
}

function outgoing({ message, timerId, deliverAtMs, ttlMs }: ReturnType<typeof readRecord>): OutgoingMessage {
  const { id, topic, tag, key, headers, body, priority } = message;
  return {
    topic,
    tag,
    id,
    headers,
    body,
    priority,
    ...(key === undefined ? {} : { key }),
    ...(timerId === undefined ? {} : { timerId }),
    ...(deliverAtMs === 0 ? {} : { deliverAtMs }),
    ...(ttlMs === 0 ? {} : { ttlMs }),
  };
}
