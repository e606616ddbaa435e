import type { Logger } from 'pino';

/** Ctrl-C has 10 s for everything that is not waited for on purpose; whoever takes longer than this is cut off. */
const SHUTDOWN_DEADLINE_MS = 9_000;

/**
 * Ends the process in order at the first SIGTERM or SIGINT, or when the launcher that started it is
 * gone: `close`, then exit code 0; 1 when that fails or takes longer than nine seconds.
 *
 * @param drainMs that `close` waits on purpose, on top of the nine seconds
 */
export function stopOnSignals(running: { close(): Promise<void> }, logger: Logger, drainMs = 0): void {
  const deadlineMs = SHUTDOWN_DEADLINE_MS + drainMs;
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, 'shutting down');
    setTimeout(() => {
      logger.error(`not finished after ${deadlineMs} ms; leaving the rest to redelivery and recovery`);
      process.exit(1);
    }, deadlineMs).unref();
    running.close().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error({ err: error }, 'the shutdown failed');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  // Started with an IPC channel (as the launcher does): its end means that the parent is gone.
  process.on('disconnect', () => stop('SIGTERM'));
  // It may have gone while this one started.
  if (process.connected === false) stop('SIGTERM');
}
