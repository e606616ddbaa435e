import { backoff } from '#libs/messaging';

/** One statement of this many rows is as fast per row as any larger one. */
const MAX_BATCH_MESSAGES = 500;

/** How all three groups take their messages. */
export const MOVEMENT_BATCHES = {
  maxBatchMessages: MAX_BATCH_MESSAGES,
  maxInFlightMessages: 2 * MAX_BATCH_MESSAGES,
  // Ten minutes: a movement is not given up while Redis or Postgres is being restarted.
  retry: backoff({ attempts: 130, firstDelayMs: 100, maxDelayMs: 5_000 }),
};
