import type {
  AuditEntry,
  BrokerAdmin,
  DeadLetter,
  GroupInfo,
  MessageTrace,
  Page,
  PageQuery,
  RedriveReport,
  ResetTarget,
  StorageInfo,
  StoredMessage,
  TimerInfo,
  TopicInfo,
  TraceEvent,
  TransactionInfo,
} from '#libs/messaging/port';
import type { BrokerSession } from '../session.js';
import { allGroups, allTopics } from './pages.js';

/** The admin calls of the port, carried by name over a session. */
export class SessionAdmin implements BrokerAdmin {
  constructor(private readonly session: Pick<BrokerSession, 'admin'>) {}

  createTopic(...args: Parameters<BrokerAdmin['createTopic']>): Promise<void> {
    return this.call('createTopic', args);
  }

  topics(): Promise<TopicInfo[]> {
    return allTopics((query) => this.topicsPage(query));
  }

  topicsPage(query: PageQuery = {}): Promise<Page<TopicInfo>> {
    return this.call('topicsPage', [query]);
  }

  groups(): Promise<GroupInfo[]> {
    return allGroups((query) => this.groupsPage(query));
  }

  groupsPage(query: PageQuery = {}): Promise<Page<GroupInfo>> {
    return this.call('groupsPage', [query]);
  }

  timers(): Promise<TimerInfo> {
    return this.call('timers', []);
  }

  transactions(): Promise<TransactionInfo> {
    return this.call('transactions', []);
  }

  storage(): Promise<StorageInfo> {
    return this.call('storage', []);
  }

  decideTransaction(transactionId: string, decision: 'commit' | 'rollback'): Promise<void> {
    return this.call('decideTransaction', [transactionId, decision]);
  }

  async read(topic: string, partition: number, offset: number, limit: number): Promise<StoredMessage[]> {
    const messages = await this.call<StoredMessage[]>('read', [topic, partition, offset, limit]);
    return messages.map(withKey);
  }

  resetGroup(group: string, to: ResetTarget): Promise<void> {
    return this.call('resetGroup', [group, to]);
  }

  deleteGroup(group: string): Promise<void> {
    return this.call('deleteGroup', [group]);
  }

  deleteTopic(topic: string): Promise<void> {
    return this.call('deleteTopic', [topic]);
  }

  async deadLetters(...args: Parameters<BrokerAdmin['deadLetters']>): Promise<DeadLetter[]> {
    const letters = await this.call<DeadLetter[]>('deadLetters', args);
    return letters.map((letter) => ({ ...letter, message: withKey(letter.message) }));
  }

  redrive(group: string, messageId: string): Promise<boolean> {
    return this.call('redrive', [group, messageId]);
  }

  redriveAll(...args: Parameters<BrokerAdmin['redriveAll']>): Promise<RedriveReport> {
    return this.call('redriveAll', args);
  }

  editDeadLetter(...args: Parameters<BrokerAdmin['editDeadLetter']>): Promise<boolean> {
    return this.call('editDeadLetter', args);
  }

  discard(group: string, messageId: string): Promise<boolean> {
    return this.call('discard', [group, messageId]);
  }

  trace(messageId: string): Promise<TraceEvent[]> {
    return this.call('trace', [messageId]);
  }

  traceByKey(...args: Parameters<BrokerAdmin['traceByKey']>): Promise<MessageTrace[]> {
    return this.call('traceByKey', args);
  }

  audit(...args: Parameters<BrokerAdmin['audit']>): Promise<AuditEntry[]> {
    return this.call('audit', args);
  }

  private call<Result>(method: keyof BrokerAdmin, args: readonly unknown[]): Promise<Result> {
    return this.session.admin({ method, args }) as Promise<Result>;
  }
}

/** JSON drops a key that is `undefined`; the type promises that it is there. */
function withKey(message: StoredMessage): StoredMessage {
  return 'key' in message ? message : { ...(message as StoredMessage), key: undefined };
}
