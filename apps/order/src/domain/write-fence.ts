/**
 * A half message is prepared before its local write. When its sender is frozen in between (a long
 * garbage collection, a suspended machine), the check-back must not decide "rollback" while the write
 * may still happen. So the write carries a fence: after `WRITE_FENCE_MS` the statement itself refuses
 * to write, and only after the longer `ROLLBACK_AFTER_MS` does a missing write mean "it never will".
 *
 * ```
 * prepare ──┬───────────── write allowed ───────────┬── nobody writes ──┬── check-back may roll back
 *           0                                    20 s                30 s
 * ```
 */
export const WRITE_FENCE_MS = 20_000;
/** The difference covers the statement's own run time and a database clock that is off by seconds. */
export const ROLLBACK_AFTER_MS = 30_000;
