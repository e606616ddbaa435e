import {
  type AuditAction,
  type AuditEntry,
  type BrokerAdmin,
  type DeadLetter,
  type DeadLetterEdit,
  type DeadLetterFilter,
  type GroupInfo,
  type MessageTrace,
  MessagingError,
  type Page,
  type PageQuery,
  type RedriveOptions,
  type RedriveReport,
  type ResetTarget,
  type StoredMessage,
  type StorageInfo,
  type TimerInfo,
  type TopicInfo,
  type TopicOptions,
  type TraceEvent,
  type TransactionInfo,
} from '#libs/messaging/port';
import { AnswerBudget } from '../answer-budget.js';
import { allGroups, allTopics } from '../client/pages.js';
import { type AuditNote, MAX_AUDIT_ENTRIES } from '../audit/audit.js';
import { editLetter } from '../dead-letters/edit-letter.js';
import { listDeadLetters } from '../dead-letters/redrives.js';
import { asDelivered } from '../groups/as-delivered.js';
import { resetGroup } from '../groups/reset-group.js';
import type { AdminCall } from '../session.js';
import { traceById } from '../trace/trace-by-id.js';
import { traceByKey } from '../trace/trace-by-key.js';
import { readRecord } from '../topics/read-message.js';
import { ADMIN_ARGUMENTS, checkArgument } from './arguments.js';
import { deleteGroup, deleteTopic } from './deleting.js';
import type { Engine } from './engine.js';
import { pageOfGroups, pageOfTopics } from './listing.js';

/** Most messages of one read or list. */
const MAX_LIMIT = 10_000;

/** What operators ask. */
export class Admin implements BrokerAdmin {
  /** @param by who asks, for the audit */
  constructor(
    private readonly engine: Engine,
    private readonly by: string,
  ) {}

  /** A call by name, as sessions carry it. @throws {MessagingError} `INVALID_ARGUMENT` when there is no such call */
  call({ method, args }: AdminCall): Promise<unknown> {
    if (!isAdminCall(method))
      throw new MessagingError('INVALID_ARGUMENT', `no admin call ${JSON.stringify(method)}`);
    // JSON has no `undefined`: an argument that was left out before another one comes as null.
    const given = Array.isArray(args) ? args.map((arg: unknown) => arg ?? undefined) : args;
    checkArgument(method, given, ADMIN_ARGUMENTS[method]);
    const bound = this[method].bind(this) as (...args: readonly unknown[]) => Promise<unknown>;
    return bound(...given);
  }

  async createTopic(name: string, options: TopicOptions = {}): Promise<void> {
    const known = this.engine.state.topics.get(name);
    if (known) known.checkAgrees(options);
    else this.engine.topic(name, options);
    await this.engine.journal.flush('durable');
  }

  async topics(): Promise<TopicInfo[]> {
    return allTopics((query) => this.topicsPage(query));
  }

  async topicsPage(query: PageQuery = {}): Promise<Page<TopicInfo>> {
    return pageOfTopics(this.engine.state, query);
  }

  async groups(): Promise<GroupInfo[]> {
    return allGroups((query) => this.groupsPage(query));
  }

  async groupsPage(query: PageQuery = {}): Promise<Page<GroupInfo>> {
    return pageOfGroups(this.engine.state, query);
  }

  storage(): Promise<StorageInfo> {
    return Promise.resolve(this.engine.space.info);
  }

  timers(): Promise<TimerInfo> {
    const { timers } = this.engine.state;
    return Promise.resolve({
      pending: timers.size,
      pastDue: timers.pastDue(this.engine.now()),
      nextDueAtMs: timers.earliestDue(),
    });
  }

  transactions(): Promise<TransactionInfo> {
    return Promise.resolve(this.engine.state.transactions.info());
  }

  async decideTransaction(transactionId: string, decision: 'commit' | 'rollback'): Promise<void> {
    await this.engine.halfMessages.decide(transactionId, decision, {
      ...this.note('decide-transaction'),
      subject: `${transactionId} ${decision}`,
    });
  }

  async read(topic: string, partition: number, offset: number, limit: number): Promise<StoredMessage[]> {
    const found = this.engine.state.topics.require(topic).partitions[partition];
    if (!found) throw new MessagingError('INVALID_ARGUMENT', `topic ${topic} has no partition ${partition}`);
    const messages: StoredMessage[] = [];
    const most = Math.min(limit, MAX_LIMIT);
    const budget = new AnswerBudget();
    for (let at = Math.max(found.start, Math.floor(offset)); at < found.visibleEnd; at++) {
      if (messages.length >= most) break;
      const position = found.index.get(at);
      if (position < 0) continue;
      const record = readRecord(await this.engine.load(position), position, topic);
      const { message } = asDelivered(record, { attempt: 1, history: [] });
      const { body, ...rest } = message;
      if (!budget.take(body.byteLength, rest)) break;
      messages.push(message);
    }
    return messages;
  }

  async resetGroup(group: string, to: ResetTarget): Promise<void> {
    const audit = { ...this.note('reset-group'), group, subject: JSON.stringify(to) };
    const { leases, state } = this.engine;
    await resetGroup(this.engine, leases, state.groups.require(group), to, audit);
  }

  deleteGroup(group: string): Promise<void> {
    return deleteGroup(this.engine, group, { ...this.note('delete-group'), group, subject: group });
  }

  deleteTopic(topic: string): Promise<void> {
    return deleteTopic(this.engine, topic, { ...this.note('delete-topic'), subject: topic });
  }

  deadLetters(group: string, options: { limit?: number; afterOffset?: number } = {}): Promise<DeadLetter[]> {
    const limit = Math.min(options.limit ?? 1_000, MAX_LIMIT);
    return listDeadLetters(
      this.engine,
      this.engine.state.deadLetters,
      group,
      options.afterOffset ?? -1,
      limit,
    );
  }

  redrive(group: string, messageId: string): Promise<boolean> {
    return this.engine.redrives.redrive(group, messageId, this.by);
  }

  redriveAll(
    group: string,
    filter: DeadLetterFilter = {},
    options: RedriveOptions = {},
  ): Promise<RedriveReport> {
    return this.engine.redrives.redriveAll(group, filter, options, this.by);
  }

  editDeadLetter(group: string, messageId: string, edit: DeadLetterEdit): Promise<boolean> {
    return editLetter(this.engine, this.engine.state, group, messageId, edit, this.by);
  }

  discard(group: string, messageId: string): Promise<boolean> {
    return this.engine.redrives.discard(group, messageId, this.by);
  }

  trace(messageId: string): Promise<TraceEvent[]> {
    return traceById(this.engine, messageId);
  }

  traceByKey(key: string, topic?: string): Promise<MessageTrace[]> {
    if (typeof key !== 'string' || key === '')
      throw new MessagingError('INVALID_ARGUMENT', 'a key is a text');
    return traceByKey(this.engine, this.engine.state.topics, key, topic);
  }

  audit({ limit = MAX_AUDIT_ENTRIES, group }: { limit?: number; group?: string } = {}): Promise<
    AuditEntry[]
  > {
    return Promise.resolve(this.engine.state.audit.last(limit, group));
  }

  private note(action: AuditAction): AuditNote {
    return { atMs: this.engine.now(), by: this.by, action };
  }
}

/** Own names only: `constructor` is a property too. */
const isAdminCall = (method: string): method is keyof typeof ADMIN_ARGUMENTS =>
  Object.hasOwn(ADMIN_ARGUMENTS, method);
