import { MessagingError, type MessagingErrorCode } from '#libs/messaging/port';

/** Kafka's own names of errors, and what they are to those who use the port. All others: `BROKER_UNAVAILABLE`, the outcome unknown. */
const CODES: Readonly<Record<string, MessagingErrorCode>> = {
  UNKNOWN_TOPIC_OR_PARTITION: 'UNKNOWN_TOPIC',
  INVALID_TOPIC_EXCEPTION: 'INVALID_ARGUMENT',
  INVALID_CONFIG: 'INVALID_ARGUMENT',
  INVALID_PARTITIONS: 'INVALID_ARGUMENT',
  INVALID_REPLICATION_FACTOR: 'INVALID_ARGUMENT',
  MESSAGE_TOO_LARGE: 'MESSAGE_TOO_LARGE',
  RECORD_LIST_TOO_LARGE: 'MESSAGE_TOO_LARGE',
  NOT_ENOUGH_REPLICAS: 'STORAGE_FAILED',
  KAFKA_STORAGE_ERROR: 'STORAGE_FAILED',
  INVALID_PRODUCER_EPOCH: 'PRODUCER_FENCED',
  PRODUCER_FENCED: 'PRODUCER_FENCED',
  TRANSACTION_COORDINATOR_FENCED: 'PRODUCER_FENCED',
  SASL_AUTHENTICATION_FAILED: 'AUTHENTICATION_FAILED',
  TOPIC_AUTHORIZATION_FAILED: 'AUTHENTICATION_FAILED',
  GROUP_AUTHORIZATION_FAILED: 'AUTHENTICATION_FAILED',
  CLUSTER_AUTHORIZATION_FAILED: 'AUTHENTICATION_FAILED',
  NON_EMPTY_GROUP: 'IN_USE',
  GROUP_ID_NOT_FOUND: 'UNKNOWN_GROUP',
  REQUEST_TIMED_OUT: 'REQUEST_TIMEOUT',
};

/** The generation or the member is not the group's any more. */
const LOST_MEMBERSHIP = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID']);
const STALE_LEADER = new Set([
  'NOT_LEADER_FOR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'REPLICA_NOT_AVAILABLE',
]);

type Described = {
  name?: unknown;
  type?: unknown;
  cause?: unknown;
  message?: unknown;
  errors?: unknown;
  groups?: unknown;
  error?: unknown;
};

/** The error and what is wrapped in it; of several that came together, the first. */
function* unwrapped(error: unknown): Generator<Described> {
  let at = error as Described | undefined;
  for (let depth = 0; at && depth < 5; depth++) {
    yield at;
    const several = at.errors ?? at.groups;
    at = (Array.isArray(several) ? several[0] : (at.cause ?? at.error)) as Described | undefined;
  }
}

/** What Kafka called it. */
export function kafkaErrorType(error: unknown): string | undefined {
  for (const { type } of unwrapped(error)) if (typeof type === 'string') return type;
  return undefined;
}

export const isRebalance = (error: unknown): boolean => kafkaErrorType(error) === 'REBALANCE_IN_PROGRESS';
export const isLostMembership = (error: unknown): boolean => LOST_MEMBERSHIP.has(kafkaErrorType(error) ?? '');
export const isStaleLeader = (error: unknown): boolean => STALE_LEADER.has(kafkaErrorType(error) ?? '');

const hasName = (error: unknown, name: string): boolean =>
  [...unwrapped(error)].some((each) => each.name === name);

/** What the port says of a failure of kafkajs. */
export function messagingError(error: unknown, what: string): MessagingError {
  if (error instanceof MessagingError) return error;
  const detail = `${what}: ${(error as Described | undefined)?.message as string}`;
  return new MessagingError(codeOf(error), detail, { cause: error });
}

function codeOf(error: unknown): MessagingErrorCode {
  const known = CODES[kafkaErrorType(error) ?? ''];
  if (known !== undefined) return known;
  if (hasName(error, 'KafkaJSSASLAuthenticationError')) return 'AUTHENTICATION_FAILED';
  if (hasName(error, 'KafkaJSRequestTimeoutError')) return 'REQUEST_TIMEOUT';
  return 'BROKER_UNAVAILABLE';
}
