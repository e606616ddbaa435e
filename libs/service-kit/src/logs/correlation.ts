import { AsyncLocalStorage } from 'node:async_hooks';
import { parseTraceparent, traceContext } from '#libs/messaging/port';

export type Correlation = { correlationId: string };

const correlations = new AsyncLocalStorage<Correlation>();

/** What the running request or message is known by in logs; undefined outside of one. A message is known by its trace. */
export function currentCorrelation(): Correlation | undefined {
  const correlation = correlations.getStore();
  if (correlation !== undefined) return correlation;
  const traceId = parseTraceparent(traceContext.current())?.traceId;
  return traceId === undefined ? undefined : { correlationId: traceId };
}

export function runCorrelated(correlation: Correlation, work: () => void): void {
  correlations.run(correlation, work);
}
