import type { Attempt, StoredMessage } from '#libs/messaging/port';
import type { DecodedRecord } from '../topics/read-message.js';

type Seen = {
  message: StoredMessage;
  attempt: number;
  history: readonly Attempt[];
  automaticRedrives: number;
};

/**
 * A stored record as a consumer sees it. A retry shows the place of the original message. A dead
 * letter, read by a subscriber of `%DLQ%<group>`, is a message of that topic with the original's
 * body and headers, and what is known of its end in further headers.
 */
export function asDelivered(
  record: DecodedRecord,
  tries: { attempt: number; history: readonly Attempt[] },
): Seen {
  const { message, provenance } = record;
  if (!provenance) return { message, attempt: tries.attempt, history: tries.history, automaticRedrives: 0 };
  const { origin, deadLetter, automaticRedrives = 0 } = provenance;
  if (deadLetter) {
    const headers = {
      ...message.headers,
      'x-dead-letter-group': deadLetter.group,
      'x-dead-letter-reason': deadLetter.reason,
      ...(deadLetter.kind && { 'x-dead-letter-kind': deadLetter.kind }),
      'x-dead-letter-error': deadLetter.error,
      'x-dead-letter-at': new Date(deadLetter.atMs).toISOString(),
      'x-dead-letter-attempts': JSON.stringify(provenance.history),
      'x-dead-letter-origin': JSON.stringify(origin),
      'x-dead-letter-automatic-redrives': String(automaticRedrives),
    };
    const { attempt, history } = tries;
    return { message: { ...message, headers }, attempt, history, automaticRedrives: 0 };
  }
  return {
    message: { ...message, ...origin },
    attempt: provenance.attempt + tries.attempt,
    // After a lost lease the tries of this very record are in `tries`, older ones came with it.
    history: [...provenance.history, ...tries.history].slice(-MAX_HISTORY),
    automaticRedrives,
  };
}

/** Failed tries that travel with a message. */
export const MAX_HISTORY = 16;
/** Characters of an error that are kept. */
export const MAX_ERROR_CHARS = 1024;
