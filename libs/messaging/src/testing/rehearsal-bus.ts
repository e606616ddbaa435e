import type { TransactionDecision } from '../broker-port.js';
import type { MessageBus } from '../bus.js';
import type { CheckedMessage } from '../consume.decorator.js';
import type { Envelope } from '../envelope.js';
import { MessagingError } from '../errors.js';
import { isNothingWritten } from '../local-write.js';

/** Where a process may die while it sends a transactional message. */
export const CRASH_POINTS = [
  'before the half message',
  'before the local write',
  'before the commit',
  'after the commit',
] as const;
export type CrashPoint = (typeof CRASH_POINTS)[number];

/** Stands for a process that is no more. */
export class Crash extends Error {}

type Check = (transactionId: string, messages: readonly CheckedMessage[]) => Promise<TransactionDecision>;

/**
 * A message bus without a broker, which can be made to die between any two steps of a transactional
 * message. What the broker promises is kept: a half message stays until it is decided, whatever happens
 * to its sender.
 */
export class RehearsalBus {
  /** What consumers would get, in sending order. */
  readonly visible: Envelope[] = [];
  readonly recalled: string[] = [];
  private readonly half = new Map<string, readonly Envelope[]>();
  private transactions = 0;
  /** The next transaction dies here; once. */
  crashAt: CrashPoint | undefined;
  /** As `crashAt`, for the one after the transaction that is under way. */
  crashNext: CrashPoint | undefined;
  /** Called between the half message and the local write. */
  beforeLocal: (() => Promise<void>) | undefined;

  /** @param provesNothingWritten as in `MessagingOptions` */
  constructor(private readonly provesNothingWritten: (error: unknown) => boolean = () => false) {}

  /** For constructors and providers that want a `MessageBus`. */
  get bus(): MessageBus {
    return this as unknown as MessageBus;
  }

  async transactional<T>(
    _group: string,
    envelopes: readonly Envelope[],
    local: () => Promise<T>,
  ): Promise<T> {
    if (this.crashNext !== undefined) {
      this.crashAt = this.crashNext;
      this.crashNext = undefined;
    }
    this.dieAt('before the half message');
    const id = `transaction ${++this.transactions}`;
    this.half.set(id, envelopes);
    this.dieAt('before the local write');
    await this.beforeLocal?.();
    let result: T;
    try {
      result = await local();
    } catch (cause) {
      if (!isNothingWritten(cause, this.provesNothingWritten)) {
        throw new MessagingError('OUTCOME_UNKNOWN', 'left to the check-back', { cause });
      }
      this.half.delete(id);
      throw cause;
    }
    this.dieAt('before the commit');
    this.commit(id);
    this.dieAt('after the commit');
    return result;
  }

  send(contract: Envelope['contract'], payload: unknown): Promise<void> {
    this.visible.push({ contract, payload, options: {} });
    return Promise.resolve();
  }

  sendBatch(envelopes: readonly Envelope[]): Promise<void> {
    this.visible.push(...envelopes);
    return Promise.resolve();
  }

  recall(timerId: string): Promise<boolean> {
    this.recalled.push(timerId);
    return Promise.resolve(true);
  }

  /** Asks for every undecided transaction, as the broker does. */
  async checkBack(check: Check): Promise<TransactionDecision[]> {
    const decisions: TransactionDecision[] = [];
    for (const [id, envelopes] of [...this.half]) {
      const decision = await check(
        id,
        envelopes.map(({ contract, payload }) => ({ contract: contract.name, payload })),
      );
      if (decision === 'commit') this.commit(id);
      if (decision === 'rollback') this.half.delete(id);
      decisions.push(decision);
    }
    return decisions;
  }

  /** Drops what is undecided, as a check-back does half a minute later. */
  forget(): void {
    this.half.clear();
  }

  get transactionsBegun(): number {
    return this.transactions;
  }

  get undecided(): number {
    return this.half.size;
  }

  /** Names of the visible messages, such as `order.paid`, with those of one order only. */
  namesOf(orderNo: string): string[] {
    return this.visible
      .filter(({ payload }) => (payload as { orderNo?: string }).orderNo === orderNo)
      .map(({ contract }) => contract.name);
  }

  private commit(id: string): void {
    this.visible.push(...(this.half.get(id) ?? []));
    this.half.delete(id);
  }

  private dieAt(point: CrashPoint): void {
    if (this.crashAt !== point) return;
    this.crashAt = undefined;
    throw new Crash(point);
  }
}
