import { encodePayload, type AnyContract, type MessageContract } from './contract.js';
import { MessagingError } from './errors.js';
import { Header, type OutgoingMessage } from './message.js';
import { delayLevelMs } from './retry.js';
import { childTraceparent } from './trace-context.js';

export type SendOptions = {
  /** Unique per message. Give one when a repeated send must be stored once; it is made up otherwise. */
  id?: string;
  /** Milliseconds from now before which the message is not delivered. */
  delayMs?: number;
  /** The same as one of RocketMQ's levels: 1 (1 s) to 18 (2 h). As there, a higher one is level 18, and 0 is no delay. */
  delayLevel?: number;
  /** The same as a point in time, epoch milliseconds; one in the past is delivered at once. */
  deliverAtMs?: number;
  /** Handle for `MessageBus.recall` and `reschedule`. Default: the message id. */
  timerId?: string;
  /** Milliseconds after which an undelivered message is dead-lettered; 1 or more. */
  ttlMs?: number;
  /** 0 (last) to 9 (first); default 4. */
  priority?: number;
  /** A `traceparent` given here is continued instead of the current one. */
  headers?: Readonly<Record<string, string>>;
};

/** A message that is ready to be sent, with others or within a transaction. */
export type Envelope = {
  readonly contract: AnyContract;
  readonly payload: unknown;
  readonly options: SendOptions;
};

export function envelope<Payload>(
  contract: MessageContract<Payload>,
  payload: NoInfer<Payload>,
  options: SendOptions = {},
): Envelope {
  return { contract, payload, options };
}

export type SealContext = {
  /** Name of the sending service. */
  producer: string;
  nowMs: number;
  /** Check the payload against its contract. */
  validate: boolean;
  /** The trace that a message under this key continues, if there is one. */
  causeOf(key: string): string | undefined;
};

/**
 * Turns an envelope into what a broker stores.
 * @throws {MessagingError} `INVALID_PAYLOAD` when the payload is not what the contract says, `INVALID_ARGUMENT` when an option makes no sense.
 */
export function seal({ contract, payload, options }: Envelope, context: SealContext): OutgoingMessage {
  if (context.validate) assertPayload(contract, payload);
  const { id, timerId, ttlMs, priority, headers } = options;
  const deliverAtMs = deliveryTimeMs(options, context.nowMs);
  // `envelope` has tied the payload's type to the contract's; here both are known as `unknown` only.
  const key = contract.key(payload as never);
  return {
    topic: contract.topic,
    tag: contract.tag,
    key,
    body: encodePayload(payload),
    headers: {
      [Header.contentType]: 'application/json',
      [Header.producer]: context.producer,
      [Header.version]: String(contract.version),
      ...headers,
      [Header.traceparent]: childTraceparent(headers?.[Header.traceparent] ?? context.causeOf(key)),
    },
    ...(id !== undefined && { id }),
    ...(deliverAtMs !== undefined && { deliverAtMs }),
    ...(timerId !== undefined && { timerId }),
    ...(ttlMs !== undefined && { ttlMs }),
    ...(priority !== undefined && { priority }),
  };
}

/** A wrong payload is a bug of the producer; it is cheaper to find here than at every consumer. */
function assertPayload(contract: AnyContract, payload: unknown): void {
  const parsed = contract.payload.safeParse(payload);
  if (parsed.success) return;
  const issues = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'payload'}: ${message}`);
  throw new MessagingError('INVALID_PAYLOAD', `${contract.name} cannot be sent; ${issues.join('; ')}`);
}

function deliveryTimeMs(
  { delayMs, delayLevel, deliverAtMs }: SendOptions,
  nowMs: number,
): number | undefined {
  if ([delayMs, delayLevel, deliverAtMs].filter((each) => each !== undefined).length > 1) {
    throw new MessagingError('INVALID_ARGUMENT', 'give one of delayMs, delayLevel and deliverAtMs');
  }
  if (delayLevel !== undefined) {
    if (!Number.isInteger(delayLevel) || delayLevel < 0) {
      throw new MessagingError(
        'INVALID_ARGUMENT',
        `delayLevel is ${delayLevel}, it must be a whole number from 0`,
      );
    }
    return delayLevel === 0 ? undefined : nowMs + delayLevelMs(delayLevel);
  }
  if (delayMs === undefined) return deliverAtMs;
  if (!Number.isFinite(delayMs) || delayMs < 0) {
    throw new MessagingError('INVALID_ARGUMENT', `delayMs is ${delayMs}, it must be 0 or more`);
  }
  return nowMs + delayMs;
}
