import { randomBytes } from 'node:crypto';

/**
 * Message ids in the shape of UUID v7, made without a random number each:
 *
 * ```
 * 019aa3c1-5e2f-7001-8000-3f9c1e7ab2d4
 * └ms since epoch┘│└count┘ └this process┘
 * ```
 *
 * Ids of one process never repeat (time and a 26-bit count within the millisecond); those of two
 * processes differ in 48 random bits. They sort by time, which keeps indexes on them local.
 */
export function messageIds(now: () => number = Date.now): () => string {
  const process = randomBytes(6).toString('hex');
  let lastMs = 0;
  let prefix = '';
  let count = 0;
  return () => {
    // A clock that steps back keeps counting in the millisecond it had reached.
    const nowMs = Math.max(now(), lastMs);
    if (nowMs !== lastMs || count > MAX_COUNT) {
      lastMs = count > MAX_COUNT && nowMs === lastMs ? lastMs + 1 : nowMs;
      const hex = lastMs.toString(16).padStart(12, '0');
      prefix = `${hex.slice(0, 8)}-${hex.slice(8)}-7`;
      count = 0;
    }
    const high = (0x2000000 + (count >>> 14)).toString(16).slice(-3);
    const low = (0x8000 + (count & 0x3fff)).toString(16);
    count++;
    return `${prefix}${high}-${low}-${process}`;
  };
}

const MAX_COUNT = 0x3ffffff;
