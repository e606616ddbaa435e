import { MessagingError } from './errors.js';
import { MAX_BODY_BYTES, type OutgoingMessage } from './message.js';

/** Most messages of one send or transaction. */
export const MAX_BATCH_MESSAGES = 10_000;
/** Most bytes of one send or transaction, bodies, headers and all. */
export const MAX_BATCH_BYTES = 16 * 1024 * 1024;
/** Longest id, tag and timer id; longest key. In UTF-16 units. */
const MAX_NAME_CHARS = 256;
const MAX_KEY_CHARS = 1024;
/** All header names and values together, in UTF-16 units. */
const MAX_HEADER_CHARS = 16 * 1024;
/** RocketMQ allows 3 days, we allow what a year's subscription needs. */
const MAX_DELAY_MS = 400 * 24 * 3_600_000;
const MAX_TTL_MS = 2 ** 32 - 1;
const TOPIC_NAME = /^[A-Za-z0-9._-]{1,128}$/;

/** @throws {MessagingError} `INVALID_ARGUMENT` */
export function checkTopicName(name: string): void {
  // `test` would take the number 5 for its name.
  if (typeof name === 'string' && TOPIC_NAME.test(name)) return;
  throw new MessagingError(
    'INVALID_ARGUMENT',
    `topic ${JSON.stringify(name)}: 1 to 128 letters, digits, dots, underscores or dashes are allowed`,
  );
}

/**
 * Refuses what the log could not hold, before anything is written.
 * @throws {MessagingError} `INVALID_ARGUMENT`, `MESSAGE_TOO_LARGE`
 */
export function checkMessages(messages: readonly OutgoingMessage[], nowMs: number): void {
  if (messages.length === 0 || messages.length > MAX_BATCH_MESSAGES) {
    throw new MessagingError(
      'INVALID_ARGUMENT',
      `1 to ${MAX_BATCH_MESSAGES} messages at once, not ${messages.length}`,
    );
  }
  let bytes = 0;
  for (const message of messages) bytes += checkMessage(message, nowMs);
  if (bytes > MAX_BATCH_BYTES) {
    throw new MessagingError(
      'MESSAGE_TOO_LARGE',
      `${bytes} bytes in one call, the bound is ${MAX_BATCH_BYTES}`,
    );
  }
}

/** Refusals that name one message and store none: what else was sent deserves another try. */
export function concernsOneMessage(error: unknown): error is MessagingError {
  return (
    error instanceof MessagingError &&
    (error.code === 'INVALID_ARGUMENT' ||
      error.code === 'MESSAGE_TOO_LARGE' ||
      error.code === 'QUEUE_FULL' ||
      error.code === 'UNKNOWN_TOPIC')
  );
}

function checkMessage(message: OutgoingMessage, nowMs: number): number {
  checkTopicName(message.topic);
  checkText('tag', message.tag, MAX_NAME_CHARS);
  if (message.id !== undefined) checkText('id', message.id, MAX_NAME_CHARS);
  if (message.key !== undefined) checkText('key', message.key, MAX_KEY_CHARS);
  if (message.timerId !== undefined) checkText('timerId', message.timerId, MAX_NAME_CHARS);
  checkBody(message.body);
  if (message.deliverAtMs !== undefined) checkDeliverAt(message.deliverAtMs, nowMs);
  // From 1: the log keeps whole milliseconds, and 0 stands for ever.
  checkNumber('ttlMs', message.ttlMs, 1, MAX_TTL_MS);
  checkNumber('priority', message.priority, 0, 9);
  if (message.priority !== undefined && !Number.isInteger(message.priority)) {
    throw new MessagingError('INVALID_ARGUMENT', `priority: a whole number, not ${message.priority}`);
  }
  return message.body.byteLength + checkHeaders(message.headers);
}

/** @throws {MessagingError} `INVALID_ARGUMENT` */
export const checkDeliverAt = (deliverAtMs: number, nowMs: number): void =>
  // What came as JSON may also be null.
  checkNumber('deliverAtMs', deliverAtMs ?? NaN, 0, nowMs + MAX_DELAY_MS);

/** @throws {MessagingError} `INVALID_ARGUMENT`, `MESSAGE_TOO_LARGE` */
export function checkBody(body: unknown): void {
  if (!(body instanceof Uint8Array)) throw new MessagingError('INVALID_ARGUMENT', 'a body is a Uint8Array');
  if (body.byteLength <= MAX_BODY_BYTES) return;
  throw new MessagingError(
    'MESSAGE_TOO_LARGE',
    `a body of ${body.byteLength} bytes, the bound is ${MAX_BODY_BYTES}`,
  );
}

/** How many characters they have. @throws {MessagingError} `INVALID_ARGUMENT`, `MESSAGE_TOO_LARGE` */
export function checkHeaders(headers: OutgoingMessage['headers']): number {
  let chars = 0;
  for (const name in headers) {
    const value: unknown = headers[name];
    checkText('header name', name, MAX_KEY_CHARS);
    // Whoever reads it would set an object's prototype.
    if (name === '__proto__') throw new MessagingError('INVALID_ARGUMENT', 'no header is called __proto__');
    checkText(`header ${name}`, value, MAX_HEADER_CHARS);
    chars += name.length + (value as string).length;
  }
  if (chars > MAX_HEADER_CHARS) {
    throw new MessagingError(
      'MESSAGE_TOO_LARGE',
      `${chars} characters of headers, the bound is ${MAX_HEADER_CHARS}`,
    );
  }
  return chars;
}

function checkText(name: string, value: unknown, maxChars: number): void {
  const why = wrongWith(value, maxChars);
  if (why) throw new MessagingError('INVALID_ARGUMENT', `${name} ${why}`);
}

function wrongWith(value: unknown, maxChars: number): string | undefined {
  if (typeof value !== 'string') return 'is not a string';
  if (value.length > maxChars) return `is longer than ${maxChars} characters`;
  return value.includes('\0') ? 'has a NUL character' : undefined;
}

function checkNumber(name: string, value: number | undefined, min: number, max: number): void {
  if (value === undefined || (Number.isFinite(value) && value >= min && value <= max)) return;
  throw new MessagingError('INVALID_ARGUMENT', `${name}: from ${min} to ${max}, not ${String(value)}`);
}
