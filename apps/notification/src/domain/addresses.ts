import { createHash } from 'node:crypto';

/** A local part that no mail server argues about (RFC 5321: at most 64 octets). */
const SAFE_LOCAL_PART = /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/;
const MAX_LOCAL_PART_CHARS = 64;

/** The buyer's address: the id itself where it can be a local part, else a hash of it. */
export function emailOf(buyerId: string): string {
  const usable = buyerId.length <= MAX_LOCAL_PART_CHARS && SAFE_LOCAL_PART.test(buyerId);
  return `${usable ? buyerId : `b-${sha256(buyerId).slice(0, 40)}`}@buyers.stampede.example`;
}

/** The id of the message that asks for a notification; a dispatch that runs twice sends one message. */
export function commandIdOf(subjectId: string, kind: string, channel: string): string {
  return `${channel}:${kind}:${subjectId}`;
}

/**
 * The mail's own `Message-ID`, the same for every try. Whoever receives the mail twice (we crashed
 * between sending and noting it) can tell that it is one mail.
 */
export function mailMessageIdOf(subjectId: string, kind: string): string {
  const subject = SAFE_LOCAL_PART.test(subjectId) ? subjectId : sha256(subjectId).slice(0, 40);
  return `<${kind}.${subject}@notifications.stampede.example>`;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
