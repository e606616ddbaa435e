import { MessagingError, type TransactionInfo } from '#libs/messaging';
import { RecentMap } from '../engine/recent-map.js';

export type TransactionOptions = {
  /** When a transaction without a decision is asked for first. RocketMQ: 6 s. */
  firstCheckMs: number;
  /** And how often then. RocketMQ: 30 s. */
  everyMs: number;
  /** Checks that were asked before it is parked for an operator. RocketMQ: 15. */
  maxChecks: number;
  /** Paces the checks after a producer was away for long. */
  maxChecksPerSecond: number;
};

export const TRANSACTION_DEFAULTS: TransactionOptions = {
  firstCheckMs: 6_000,
  everyMs: 30_000,
  maxChecks: 15,
  maxChecksPerSecond: 100,
};

export type Transaction = {
  id: string;
  producerGroup: string;
  preparedAtMs: number;
  /** Journal positions of the half messages, in sending order. */
  positions: readonly number[];
  checks: number;
  nextCheckAtMs: number;
};

/** Most transactions without a decision. */
export const MAX_PENDING_TRANSACTIONS = 100_000;
/** So many decisions at least are remembered, so that a repeated one is answered and the opposite one refused. */
const REMEMBERED_DECISIONS = 100_000;

/** Half messages and their decisions: the first decision wins, its repetition is fine, the opposite is a conflict. */
export class Transactions {
  private readonly pending = new Map<string, Transaction>();
  private readonly decided = new RecentMap<string, 'commit' | 'rollback'>(REMEMBERED_DECISIONS);

  constructor(private readonly options: TransactionOptions) {}

  checkRoom(): void {
    if (this.pending.size < MAX_PENDING_TRANSACTIONS) return;
    throw new MessagingError('BUFFER_FULL', `${this.pending.size} transactions wait for a decision`);
  }

  prepared(facts: { id: string; producerGroup: string; atMs: number }, positions: readonly number[]): void {
    this.pending.set(facts.id, {
      id: facts.id,
      producerGroup: facts.producerGroup,
      preparedAtMs: facts.atMs,
      positions,
      checks: 0,
      nextCheckAtMs: facts.atMs + this.options.firstCheckMs,
    });
  }

  /** Applies a decision. */
  conclude(id: string, decision: 'commit' | 'rollback'): void {
    this.pending.delete(id);
    this.decided.set(id, decision);
  }

  find(id: string): Transaction | undefined {
    return this.pending.get(id);
  }

  /** Whether this very decision was recorded before. @throws `TRANSACTION_CONFLICT`, `UNKNOWN_TRANSACTION` */
  wasDecided(id: string, decision: 'commit' | 'rollback'): boolean {
    const earlier = this.decided.get(id);
    if (earlier === decision) return true;
    if (earlier)
      throw new MessagingError('TRANSACTION_CONFLICT', `transaction ${id}: ${earlier} was recorded first`);
    if (!this.pending.has(id)) throw new MessagingError('UNKNOWN_TRANSACTION', `transaction ${id}`);
    return false;
  }

  /** Transactions to ask for now, oldest first, at most `limit`, of producers that can be reached. */
  due(nowMs: number, limit: number, isReachable: (producerGroup: string) => boolean): Transaction[] {
    const due: Transaction[] = [];
    for (const transaction of this.pending.values()) {
      if (due.length >= limit) break;
      if (transaction.nextCheckAtMs > nowMs) continue;
      if (transaction.checks >= this.options.maxChecks || !isReachable(transaction.producerGroup)) continue;
      due.push(transaction);
    }
    return due;
  }

  /** The producer was asked. A producer that is away is not asked, and so uses up no checks. */
  checked(transaction: Transaction, nowMs: number): void {
    transaction.checks += 1;
    transaction.nextCheckAtMs = nowMs + this.options.everyMs;
  }

  get size(): number {
    return this.pending.size;
  }

  all(): IterableIterator<Transaction> {
    return this.pending.values();
  }

  info(nowMs: number): TransactionInfo {
    const parked: TransactionInfo['parked'] = [];
    for (const { id, producerGroup, preparedAtMs, checks, nextCheckAtMs } of this.pending.values()) {
      if (checks < this.options.maxChecks || nextCheckAtMs > nowMs) continue;
      parked.push({ transactionId: id, producerGroup, preparedAtMs, checks });
    }
    return { pending: this.pending.size - parked.length, parked };
  }

  lowestPosition(): number {
    let lowest = Infinity;
    for (const { positions } of this.pending.values()) lowest = Math.min(lowest, positions[0] ?? Infinity);
    return lowest;
  }
}
