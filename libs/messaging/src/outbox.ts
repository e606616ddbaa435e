/**
 * The second way to send a message if, and only if, a local transaction commits: the message is a row
 * of the same database, written by the same transaction, and a relay (`outbox-relay.ts`) brings committed
 * rows to the broker. It needs nothing of the broker but `send`, so it works on every one; half messages
 * save the table and the relay's delay where the broker has them. A service chooses in its module.
 *
 *     transaction { local write, outbox rows }  commit ──> relay: claim ─> send ─> delete   one transaction
 *
 * A relay that dies between send and delete sends again under the same message id: the broker's
 * de-duplication window stores it once, and beyond that window the consumer's inbox handles it once.
 */
import type { OutgoingMessage } from './message.js';

/** A message as the outbox keeps it: with an id, which every send of it repeats. */
export type OutboxMessage = OutgoingMessage & { id: string };

/** A row in a relay's hands: nobody else's until it is settled or given up. */
export type ClaimedMessage = {
  /** Of the row. */
  rowId: string;
  message: OutboxMessage;
  /** How often the broker has refused it for its own sake. */
  refusals: number;
};

/** What became of claimed rows; one that is in neither list stays as it was. */
export type Settlement = {
  /** Row ids of what the broker has: deleted. */
  sent: string[];
  /** What it refused, so often by now. With `retryAfterMs` the row and those of its key behind it wait for so long, else it is a dead letter. */
  refused: { rowId: string; error: string; refusals: number; retryAfterMs?: number }[];
};

/** Most that a relay holds in memory. A message that is larger than `maxBytes` comes alone. */
export type ClaimBounds = { maxMessages: number; maxBytes: number };

export interface OutboxStore<Tx = unknown> {
  /**
   * Runs `local` and inserts the messages after it, in their order, in one database transaction.
   *
   * Order per key is the order of insertion. Whoever writes about one key must therefore be let in one after the
   * other by `local`, as by the lock on the row that it changes: the rows are inserted under that lock.
   */
  write<T>(messages: readonly OutboxMessage[], local: (tx: Tx) => Promise<T>): Promise<T>;
  /**
   * Claims the oldest rows that may be sent, hands them to `send` in the order of insertion, and settles them as it says:
   * all in one transaction, so that a claim ends with whoever holds it. When `send` throws, nothing is settled.
   *
   * While a row is claimed no other claim gets one of its key, and no claim gets a row without all those of its key
   * before it: two relays at once cannot send two messages of one key in the wrong order.
   *
   * @returns how many rows were claimed
   */
  claim(
    bounds: ClaimBounds,
    send: (claimed: readonly ClaimedMessage[]) => Promise<Settlement>,
  ): Promise<number>;
}
