import { createHash } from 'node:crypto';
import type { Attempt, StoredMessage } from '#libs/messaging';
import { LATEST_INSTANT_MS } from '#libs/contracts';

/** What ops keeps of one message that one group gave up on. */
export type DeadLetterRecord = {
  id: string;
  group: string;
  messageId: string;
  topic: string;
  tag: string;
  key: string | undefined;
  reason: string;
  error: string;
  attempts: readonly Attempt[];
  /** The original message's, without the ones that tell of its death. */
  headers: Readonly<Record<string, string>>;
  body: Uint8Array;
  bornAt: Date;
  deadAt: Date;
};

const DEATH_HEADERS = 'x-dead-letter-';
const DEAD_LETTER_TOPICS = '%DLQ%';

/**
 * One id per group and message, so that a second death finds the row of the first. A hash, because
 * group and message id may be of any length and hold any character, and this one stands in URLs.
 */
export function deadLetterId(group: string, messageId: string): string {
  return createHash('sha256').update(`${group}\0${messageId}`).digest('base64url').slice(0, 22);
}

/** Reads the record from a message of a `%DLQ%…` topic. Never throws: a dead letter that cannot be read is lost. */
export function deadLetterFrom(message: StoredMessage): DeadLetterRecord {
  const said = (name: string) => message.headers[DEATH_HEADERS + name];
  const group = said('group') ?? withoutPrefix(message.topic, DEAD_LETTER_TOPICS);
  return {
    id: deadLetterId(group, message.id),
    group: storable(group),
    messageId: storable(message.id),
    topic: storable(originTopic(said('origin')) ?? message.topic),
    tag: storable(message.tag),
    key: message.key === undefined ? undefined : storable(message.key),
    reason: storable(said('reason') ?? 'unknown'),
    error: storable(said('error') ?? ''),
    attempts: attemptsFrom(said('attempts')),
    headers: Object.fromEntries(
      Object.entries(message.headers)
        .filter(([name]) => !name.startsWith(DEATH_HEADERS))
        .map(([name, value]) => [storable(name), storable(value)]),
    ),
    body: message.body,
    bornAt: boundedInstant(message.bornAtMs),
    deadAt: instantFrom(said('at')) ?? boundedInstant(message.storedAtMs),
  };
}

/** `{"topic":"order","partition":3,"offset":1204}` → `order` */
function originTopic(origin: string | undefined): string | undefined {
  const parsed = parsedJson(origin ?? 'null');
  if (typeof parsed !== 'object' || parsed === null || !('topic' in parsed)) return undefined;
  return typeof parsed.topic === 'string' ? parsed.topic : undefined;
}

function withoutPrefix(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : text;
}

/** A time that Postgres takes and ISO 8601 writes, whatever a header says: 1970 to 9999. */
export const boundedInstant = (atMs: number): Date =>
  new Date(Math.min(Math.max(Math.trunc(atMs), 0), LATEST_INSTANT_MS));

/** Epoch milliseconds or ISO 8601. */
function instantFrom(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const instant = new Date(/^\d+$/.test(text) ? Number(text) : text);
  const isBounded = instant.getTime() >= 0 && instant.getTime() <= LATEST_INSTANT_MS;
  return isBounded ? instant : undefined;
}

function attemptsFrom(json: string | undefined): Attempt[] {
  const parsed = parsedJson(json ?? '[]');
  return Array.isArray(parsed)
    ? parsed.filter(isAttempt).map(({ attempt, atMs, consumer, error }) => ({
        attempt,
        atMs: boundedInstant(atMs).getTime(),
        consumer: storable(consumer),
        error: storable(error),
      }))
    : [];
}

function parsedJson(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    // What surrounds a letter helps the operator; without it the letter itself is still worth keeping.
    return undefined;
  }
}

function isAttempt(value: unknown): value is Attempt {
  if (typeof value !== 'object' || value === null) return false;
  const { attempt, atMs, consumer, error } = value as Record<string, unknown>;
  return (
    Number.isSafeInteger(attempt) &&
    Number.isFinite(atMs) &&
    typeof consumer === 'string' &&
    typeof error === 'string'
  );
}

/** Postgres refuses NUL in text and lone surrogates in jsonb; what poison says is kept all the same. */
function storable(text: string): string {
  return text.replace(/\0|\p{Surrogate}/gu, '\ufffd');
}
