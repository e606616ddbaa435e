/**
 * After `WRITE_FENCE_MS` the local half of a transactional message refuses to write; after the longer
 * `ROLLBACK_AFTER_MS` a write that is missing will never come, and the check-back may say so.
 * docs/patterns/order-state-machine.md draws the timeline.
 */
export const WRITE_FENCE_MS = 20_000;
/** The difference covers the statement's own run time and a database clock that is off by seconds. */
export const ROLLBACK_AFTER_MS = 30_000;
