import { MessagingError, type TransactionInfo } from '#libs/messaging/port';
import { RecentMap } from '../recent-map.js';

export type TransactionOptions = {
  /** When a transaction without a decision is asked for first. RocketMQ: 6 s. */
  firstCheckMs: number;
  /** And how often then. RocketMQ: 30 s. */
  everyMs: number;
  /** Checks answered with `unknown` after which it is parked for an operator. RocketMQ: 15, answered or not. */
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
  /** Where the first of them was when it was prepared; retention may have had them written anew since. */
  preparedAt: number;
  /** Check-backs that were answered with `unknown`. */
  checks: number;
  /** When the check was asked that is not answered yet. Not in the journal: after a restart it is asked again. */
  askedAtMs?: number | undefined;
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
      preparedAt: positions[0] ?? 0,
      checks: 0,
      nextCheckAtMs: facts.atMs + this.options.firstCheckMs,
    });
  }

  /** Its half messages are at other positions now. They are all that is left when those before were dropped. */
  carried(
    facts: { id: string; producerGroup: string; atMs: number; preparedAt: number; checks: number },
    positions: readonly number[],
  ): void {
    const known = this.pending.get(facts.id);
    if (!known) this.prepared(facts, positions);
    const transaction = this.pending.get(facts.id)!;
    transaction.positions = positions;
    transaction.preparedAt = facts.preparedAt;
    if (!known) transaction.checks = facts.checks;
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

  /** For a snapshot: oldest first. */
  newestDecisions(count: number): [id: string, decision: 'commit' | 'rollback'][] {
    return this.decided.newest(count);
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

  /** The producer is asked. That uses up no check yet: it may be gone before it answers. */
  asked(transaction: Transaction, nowMs: number): void {
    transaction.askedAtMs = nowMs;
    transaction.nextCheckAtMs = nowMs + this.options.everyMs;
  }

  /** Applies an answer that was no decision. */
  checked({ id, askedAtMs }: { id: string; askedAtMs: number }): void {
    const transaction = this.pending.get(id);
    // Prepared in a range that is lost.
    if (!transaction) return;
    transaction.checks += 1;
    transaction.askedAtMs = undefined;
    transaction.nextCheckAtMs = askedAtMs + this.options.everyMs;
  }

  get size(): number {
    return this.pending.size;
  }

  all(): IterableIterator<Transaction> {
    return this.pending.values();
  }

  info(): TransactionInfo {
    const parked: TransactionInfo['parked'] = [];
    for (const { id, producerGroup, preparedAtMs, checks } of this.pending.values()) {
      if (checks < this.options.maxChecks) continue;
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
