import { ROLLBACK_AFTER_MS, WRITE_DEADLINE_MS } from '#libs/messaging';
import type { ServiceDatabase } from './database.js';

/** All writers of one instant share it. Others may hash to the same key: then somebody waits for a moment. */
const lockOf = (at: string): string => `hashtextextended('local write of ' || ${at}, 0)`;

/**
 * The write deadline of a transactional message (`WRITE_DEADLINE_MS`) as common table expressions: put it behind
 * `WITH`, and `WHERE (SELECT in_time.is_so FROM in_time)` where the statement chooses its rows.
 *
 * Not `now()`, which is the time when the statement came in: it may have waited for a table since, as it does for as long
 * as somebody builds an index. `clock_timestamp()` is read when the first row is chosen, with the table locked. A row may
 * keep it waiting after that, so it marks the write as under way by an advisory lock first, and `writesHaveEnded` looks
 * for that. The lock goes with the transaction, however it ends.
 *
 * @param at the instant of the messages, as SQL: a parameter such as `$6::text`
 */
export const inTime = (at: string): string => `
  under_way AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(${lockOf(at)})),
  in_time AS MATERIALIZED (
    SELECT clock_timestamp() < ${at}::timestamptz + interval '${WRITE_DEADLINE_MS} milliseconds' AS is_so
    FROM under_way)`;

/**
 * Whether a write with that instant can no longer happen: its deadline has passed by the database's own clock,
 * the one that the statement itself asks, and no statement that was in time is still at work.
 *
 * @param at as in the messages
 */
export async function writesHaveEnded(database: ServiceDatabase, at: string): Promise<boolean> {
  const [answer] = await database.$queryRawUnsafe<{ ended: boolean }[]>(
    `SELECT clock_timestamp() > $1::text::timestamptz + interval '${ROLLBACK_AFTER_MS} milliseconds'
            AND pg_try_advisory_xact_lock(${lockOf('$1::text')}) AS ended`,
    at,
  );
  return answer?.ended === true;
}
