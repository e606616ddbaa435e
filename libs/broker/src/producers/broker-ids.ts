import { randomBytes } from 'node:crypto';

/** Two characters each: counting by looking up is cheaper than by formatting a number for every message. */
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const PAIRS = [...DIGITS].flatMap((high) => [...DIGITS].map((low) => high + low));

/**
 * Ids for messages that came without one: no other message has them, in this run or another.
 *
 * ```
 * q3Zk-9fT AB cd
 * └random┘ └count┘   drawn anew every 16,777,216 ids
 * ```
 *
 * Twelve characters are the most that V8 joins at once; a longer sum of strings stays a tree of its parts
 * (`ConsString::kMinLength`), and flattening that for the record took some 8 % of a send in process.
 */
export function brokerIds(random = () => randomBytes(6).toString('base64url')): () => string {
  let count = 0;
  let prefix = '';
  let stem = '';
  return () => {
    const low = count % PAIRS.length;
    if (low === 0) {
      const high = Math.floor(count / PAIRS.length) % PAIRS.length;
      if (high === 0) prefix = random();
      stem = prefix + PAIRS[high]!;
    }
    count += 1;
    return stem + PAIRS[low]!;
  };
}
