import { DeadLetterStatus, type DeadLetterSummary, type DeadLetterView } from '#libs/contracts';
import type { Attempt } from '#libs/messaging';
import type { DeadLetter } from '#prisma/ops';
import type { DeadLetterRow } from '../collect-dead-letters/dead-letter-store.js';
import { readableBody } from '../domain/dead-letter-body.js';
import { boundedInstant } from '../domain/dead-letter.js';

/** One line of the list. */
export function toSummary(row: DeadLetterRow): DeadLetterSummary {
  return {
    id: row.id,
    group: row.group,
    messageId: row.messageId,
    topic: row.topic,
    tag: row.tag,
    ...(row.key === null ? {} : { key: row.key }),
    reason: row.reason,
    error: row.error,
    attemptCount: attemptsOf(row).length,
    status: DeadLetterStatus.parse(row.status),
    bornAt: row.bornAt.toISOString(),
    deadAt: row.deadAt.toISOString(),
    ...(row.resolvedAt === null ? {} : { resolvedAt: row.resolvedAt.toISOString() }),
  };
}

/** Everything, with the body as an operator can read it. */
export function toView(row: DeadLetter): DeadLetterView {
  return {
    ...toSummary(row),
    headers: row.headers as Record<string, string>,
    attempts: attemptsOf(row).map(({ atMs, ...attempt }) => ({
      ...attempt,
      at: boundedInstant(atMs).toISOString(),
    })),
    ...readableBody(row.body),
  };
}

/** Written by `DeadLetterStore.keep` alone, from a checked record; earlier versions took any number for a time. */
const attemptsOf = (row: DeadLetterRow): Attempt[] => row.attempts as unknown as Attempt[];
