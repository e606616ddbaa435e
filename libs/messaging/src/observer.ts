import type { DeadLetterReason } from './message.js';

/** What messaging says about its work. A pino logger is one. */
export interface MessagingLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const silentLogger: MessagingLogger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** How a delivery ended. A closed list, so that it can be a metric's label. */
export type DeliveryOutcome =
  | 'handled'
  /** The inbox had it already. */
  | 'duplicate'
  /** The handler met the expected other outcome (`kind: 'conflict'`); nothing is left to do. */
  | 'conflict'
  | 'retried'
  | 'dead-lettered'
  /** It took too long: somebody else has the message now. */
  | 'lease-lost'
  /** The broker could not be told the verdict; it will deliver the message again. */
  | 'unsettled';

export type DeliveryEnd = {
  group: string;
  /** `topic.tag`, or `topic.*` where no handler takes the tag, since tags of strangers are not bounded. */
  contract: string;
  outcome: DeliveryOutcome;
  /** Why, when it was dead-lettered. */
  reason?: DeadLetterReason;
  /** 1 for the first delivery. */
  attempt: number;
  /** From the moment it reached this process until its verdict was recorded. */
  handlingMs: number;
  /** From the moment the broker stored it until its verdict was recorded. */
  ageMs: number;
};

/** Hooks for metrics. They are called for every delivery: keep them short, and never throw. */
export interface PipelineObserver {
  deliveryEnded(end: DeliveryEnd): void;
  /** The group's handlers wait for something that is away, or go on. */
  paused?(group: string, isPaused: boolean): void;
}
