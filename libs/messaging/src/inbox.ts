/**
 * Remembers which messages a group has handled, in the same database as their effects. Brokers deliver
 * at least once; with the inbox the effect happens once.
 */
export interface InboxStore<Tx = unknown> {
  /**
   * Runs `work` in a database transaction together with the insertion of `(group, messageId)`; both
   * commit or neither does. When the row exists already, `work` is not run. When `work` throws, the
   * row is not kept and the error is passed on.
   */
  once(group: string, messageId: string, work: (tx: Tx) => Promise<void>): Promise<'handled' | 'duplicate'>;
}

/** Injection token of the service's `InboxStore`. */
export const INBOX_STORE = Symbol('INBOX_STORE');
