import type { InboxStore } from '../inbox.js';

/** An inbox whose database is a set: a row stays only when the work has succeeded. */
export class MemoryInbox implements InboxStore<{ group: string }> {
  readonly rows = new Set<string>();

  async once(
    group: string,
    messageId: string,
    work: (tx: { group: string }) => Promise<void>,
  ): Promise<'handled' | 'duplicate'> {
    const row = `${group} ${messageId}`;
    if (this.rows.has(row)) return 'duplicate';
    await work({ group });
    this.rows.add(row);
    return 'handled';
  }
}
