import type { TransactionDecision } from './broker-port.js';
import { DomainError } from './errors.js';

/**
 * The local write of a transactional message: everything that a service has to get right around
 * `MessageBus.transactional`, whatever its database. (docs/patterns/transactional-message.md tells it at length.)
 *
 * ```
 * at ── prepare ──┬──────── the statement may write ────────┬── it refuses to ──┬── a check-back may roll back
 *                 0                                       20 s                30 s
 * ```
 *
 * 1. **One instant.** The writer takes `at` from its clock before it prepares. The messages carry it and so does
 *    the row: a check-back recognises the very write, not one like it.
 * 2. **One statement**, all or nothing, its own transaction. It refuses to write once `at` lies more than
 *    `WRITE_DEADLINE_MS` back *when it writes*: a sender may be frozen before it, and the statement may wait for a lock.
 *    The service kit's `inTime` is that condition in SQL.
 * 3. **A lost race** (`WriteRaceLost`: others were faster, or the deadline has passed) is no failure: nothing was
 *    written, the half messages are rolled back, the caller reads again and decides again.
 * 4. **An unclear outcome is not a no.** Any error that does not prove that nothing was written leaves the half messages
 *    where they are; the caller gets `OUTCOME_UNKNOWN`, repeats, and finds it done or not done.
 * 5. **The check-back** decides by `decideByWrite`: there → `commit`; not there and no longer possible →
 *    `rollback`; else `unknown`, and the broker asks again.
 */
export const WRITE_DEADLINE_MS = 20_000;
/** Later than the deadline, for a database whose clock is set back meanwhile, as a fail-over may. */
export const ROLLBACK_AFTER_MS = 30_000;

/** Another writer came first, or this one came too late for its half messages. Nothing was written. */
export class WriteRaceLost extends Error {
  constructor(options?: ErrorOptions) {
    super('another writer came first, or the write came too late for its half messages', options);
    this.name = 'WriteRaceLost';
  }
}

/**
 * Whether an error of the local write proves that nothing was written: a lost race, or a refusal that the
 * domain decided on before it wrote. What a database's own errors prove, `ofDatabase` knows.
 */
export function isNothingWritten(error: unknown, ofDatabase: (error: unknown) => boolean): boolean {
  if (error instanceof WriteRaceLost) return true;
  if (error instanceof DomainError) return error.kind !== 'transient' && error.kind !== 'unknown';
  return ofDatabase(error);
}

/**
 * A check-back's decision. A frozen process may come back between any two of these lines; the write is therefore
 * looked for again once it is certain that none is on its way.
 */
export async function decideByWrite(write: {
  /** Whether all of it is there. Read anew each time. */
  isWritten(): Promise<boolean>;
  /** Whether it can no longer happen: no statement is at work on it, and none may begin. */
  hasEnded(): Promise<boolean>;
}): Promise<TransactionDecision> {
  if (await write.isWritten()) return 'commit';
  if (!(await write.hasEnded())) return 'unknown';
  return (await write.isWritten()) ? 'commit' : 'rollback';
}
