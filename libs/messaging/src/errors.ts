/** Whether another try can help. A closed list; the shop's domain errors use the same five kinds. */
export const ERROR_KINDS = ['invalid', 'not-found', 'conflict', 'transient', 'unknown'] as const;
export type ErrorKind = (typeof ERROR_KINDS)[number];

/** Every way in which messaging itself can fail. A closed list: add here, nowhere else. */
export const MESSAGING_ERRORS = {
  /** Not connected, or the connection was lost before an answer came. The outcome of a send is then unknown; a retry under the same id is safe. */
  BROKER_UNAVAILABLE: 'transient',
  /** No answer in time; the outcome is unknown. */
  REQUEST_TIMEOUT: 'transient',
  /** A transactional message's local write may have happened or not; the check-back finds out. A repeat finds it done or not done. */
  OUTCOME_UNKNOWN: 'transient',
  /** Stored, but not known to be on disk in the time that its topic sets; the outcome is unknown. A repeat under the same id tells. */
  FLUSH_TIMEOUT: 'transient',
  /** The client's or the broker's buffer is at its bound; nothing was stored. */
  BUFFER_FULL: 'transient',
  /** The broker cannot write (disk full, I/O error); nothing was acknowledged. */
  STORAGE_FAILED: 'transient',
  /** The broker's disk is nearly full: consumers drain it, and nothing new is stored until there is space again. */
  STORAGE_FULL: 'transient',
  /** The topic is at its maximum length and rejects; nothing was stored. */
  QUEUE_FULL: 'transient',
  /** The handle was closed by its owner. */
  CLOSED: 'transient',
  AUTHENTICATION_FAILED: 'invalid',
  MESSAGE_TOO_LARGE: 'invalid',
  /** A topic, tag, group or option is not acceptable; the detail says which and why. */
  INVALID_ARGUMENT: 'invalid',
  /** The message is not what its contract says. */
  INVALID_PAYLOAD: 'invalid',
  /** The broker in use cannot do that; the detail says what, and where to read what it does instead. */
  UNSUPPORTED: 'invalid',
  UNKNOWN_TOPIC: 'not-found',
  UNKNOWN_GROUP: 'not-found',
  UNKNOWN_TRANSACTION: 'not-found',
  /** The broker does not (or no longer) know the producer that a sequence belongs to. The client registers anew by itself. */
  UNKNOWN_PRODUCER: 'not-found',
  /** The delivery expired, or its member left; somebody else owns the message now. */
  LEASE_LOST: 'conflict',
  /** The opposite decision was recorded first. */
  TRANSACTION_CONFLICT: 'conflict',
  /** A group with members, or a topic that they read, cannot be deleted. */
  IN_USE: 'conflict',
  /** A producer's sequence has a gap. */
  SEQUENCE_GAP: 'conflict',
  /** A newer instance of this producer exists. */
  PRODUCER_FENCED: 'conflict',
  /** The log is damaged before valid records; the detail names the file and the position. */
  LOG_CORRUPT: 'unknown',
  /** The peer broke the wire protocol. */
  PROTOCOL_ERROR: 'unknown',
} as const satisfies Record<string, ErrorKind>;

export type MessagingErrorCode = keyof typeof MESSAGING_ERRORS;

export class MessagingError extends Error {
  readonly kind: ErrorKind;

  constructor(
    readonly code: MessagingErrorCode,
    detail: string,
    options?: ErrorOptions,
  ) {
    super(`${code}: ${detail}`, options);
    this.name = 'MessagingError';
    this.kind = MESSAGING_ERRORS[code];
  }
}

/**
 * A failure that the domain expects. It has a code and a kind, never an HTTP number: two tables
 * (problem details at the edge, retry or dead letter at a consumer) translate the kind.
 */
export class DomainError extends Error {
  constructor(
    readonly code: string,
    readonly kind: ErrorKind,
    detail: string,
    /** Milliseconds after which a transient failure is worth another try. */
    readonly retryAfterMs?: number,
    options?: ErrorOptions,
  ) {
    super(detail, options);
    this.name = 'DomainError';
  }
}

/**
 * Something that the work needs is away: the database, Redis, a provider. At a consumer it is nobody's
 * failed attempt: the group pauses until that is back (`circuit-breaker.ts`). At the edge it is transient.
 */
export class UnavailableError extends DomainError {
  constructor(code: string, detail: string, retryAfterMs?: number, options?: ErrorOptions) {
    super(code, 'transient', detail, retryAfterMs, options);
    this.name = 'UnavailableError';
  }
}
