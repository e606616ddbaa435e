/** Between which two processes a request goes. */
export type Way = 'writer-database' | 'relay-database' | 'broker';

/** A request of the writing or of the relaying, at whose beginning and at whose end the process is killed. */
export type Step = { what: string; way: Way; pattern: string | RegExp };

/** Everything that the life of a message in an outbox consists of, in its order. */
export const STEPS: readonly Step[] = [
  { what: 'the transaction begins', way: 'writer-database', pattern: 'BEGIN' },
  { what: 'the local write', way: 'writer-database', pattern: /INSERT INTO [^ ]*"inbox"/ },
  { what: 'the message is a row', way: 'writer-database', pattern: 'INSERT INTO outbox' },
  { what: 'both are committed', way: 'writer-database', pattern: 'COMMIT' },
  { what: 'a relay locks shards', way: 'relay-database', pattern: 'FOR UPDATE OF s SKIP LOCKED' },
  { what: 'it reads what is due', way: 'relay-database', pattern: 'bytes_before' },
  { what: 'it sends', way: 'broker', pattern: 'event-written' },
  { what: 'it deletes what is sent', way: 'relay-database', pattern: 'DELETE FROM outbox' },
  { what: 'the deletion is committed', way: 'relay-database', pattern: 'COMMIT' },
];
