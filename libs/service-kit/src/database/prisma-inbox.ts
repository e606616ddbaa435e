import type { InboxStore } from '#libs/messaging';
import type { ServiceDatabase, TransactionalDatabase } from './database.js';

/** More deliveries may be in flight than there are connections; they wait their turn. */
const MAX_WAIT_FOR_CONNECTION_MS = 10_000;
/** Below the delivery lease of 30 s, so that a stuck handler fails here before its message goes to somebody else. */
const TRANSACTION_TIMEOUT_MS = 20_000;

/**
 * The inbox: a message's row and the handler's effect commit together, or neither does.
 *
 * The insert is what serialises duplicates. A second delivery of the same message waits at the unique
 * key until the first transaction has ended: committed → it inserts nothing and is a duplicate; rolled
 * back → its own insert succeeds and the handler runs again.
 */
export class PrismaInbox<Tx = unknown> implements InboxStore<Tx> {
  private readonly database: TransactionalDatabase;

  constructor(database: ServiceDatabase) {
    this.database = database as TransactionalDatabase;
  }

  once(group: string, messageId: string, work: (tx: Tx) => Promise<void>): Promise<'handled' | 'duplicate'> {
    return this.database.$transaction(
      async (tx) => {
        const inserted = await tx.$executeRawUnsafe(
          'INSERT INTO inbox (consumer_group, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING',
          group,
          messageId,
        );
        if (inserted === 0) return 'duplicate' as const;
        await work(tx as Tx);
        return 'handled' as const;
      },
      { maxWait: MAX_WAIT_FOR_CONNECTION_MS, timeout: TRANSACTION_TIMEOUT_MS },
    );
  }
}

/** Whether the service's schema has an `InboxMessage` model. */
export function hasInbox(database: ServiceDatabase): boolean {
  return 'inboxMessage' in database;
}
