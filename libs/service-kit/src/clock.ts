/** Time as a dependency, so that a 30-minute timeout is tested in milliseconds. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
}

/** Injection token of the service's `Clock`. */
export const CLOCK = Symbol('CLOCK');

export const systemClock: Clock = { now: () => Date.now() };
