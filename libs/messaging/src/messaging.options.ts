import type { MessagingLogger, PipelineObserver } from './observer.js';
import type { OutboxStore } from './outbox.js';

/** Injection token of the process's `BrokerPort`. */
export const BROKER_PORT = Symbol('BROKER_PORT');
/** Injection token of `MessagingOptions`. */
export const MESSAGING_OPTIONS = Symbol('MESSAGING_OPTIONS');

export type MessagingOptions = {
  /** Name of the service, for the `producer` header of what it sends. */
  producer: string;
  /** Check payloads before they are sent. Default: unless NODE_ENV is `production`. Consumers always check. */
  validate?: boolean;
  /** How long handlers in flight are waited for when the service stops. Default 5,000 ms. */
  drainMs?: number;
  /** Default: nothing is said. */
  logger?: MessagingLogger;
  observer?: PipelineObserver;
  /** Where `MessageBus.transactional` keeps its messages until they are sent. Default: half messages at the broker. */
  outbox?: OutboxStore;
  /** Whether an error of the service's database proves that nothing was written. Default: none does. */
  provesNothingWritten?: (error: unknown) => boolean;
  /**
   * Whether a handler's failure means that something that all of them need is away (the database, Redis), so
   * that the group pauses instead of using up its messages' attempts. `UnavailableError` and a broker that is
   * away always mean that.
   */
  isUnavailable?: (error: unknown) => boolean;
  /** Injected by tests. */
  clock?: { now(): number };
};
