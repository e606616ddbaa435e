import { z } from 'zod';
import { Instant } from '../values.js';

/** One rule that a check found broken, for programs: how many things break it, and the first 20 of them. */
export const VerdictFinding = z.object({
  rule: z.string(),
  count: z.int(),
  examples: z.array(z.string()),
});

export const VerdictCheck = z.object({
  name: z.string(),
  ok: z.boolean(),
  detail: z.string(),
  /** Only of a check that does not hold. */
  findings: z.array(VerdictFinding).optional(),
});
export const Verdict = z.object({ ok: z.boolean(), checks: z.array(VerdictCheck) });
export type Verdict = z.output<typeof Verdict>;

/** Where a group is set: an end, a time, or one partition's offset. */
export const ResetGroupRequest = z.strictObject({
  to: z.union([
    z.enum(['earliest', 'latest']),
    z.strictObject({ timestampMs: z.int().nonnegative() }),
    z.strictObject({ partition: z.int().nonnegative(), offset: z.int().nonnegative() }),
  ]),
});
export type ResetGroupRequest = z.output<typeof ResetGroupRequest>;

/** Which dead letters to redrive, at least one field; how many a second, instead of `REDRIVE_PER_SECOND`; or only how many match. */
export const RedriveFilter = z.strictObject({
  filter: z
    .strictObject({
      group: z.string().optional(),
      topic: z.string().optional(),
      tag: z.string().optional(),
      reason: z.string().optional(),
      before: z.iso.datetime().optional(),
    })
    .refine((filter) => Object.keys(filter).length > 0, 'name at least one field')
    .meta({ minProperties: 1 }),
  dryRun: z.boolean().optional(),
  ratePerSecond: z.int().min(1).max(10_000).optional(),
});
export type RedriveFilter = z.output<typeof RedriveFilter>;

/** Where a dead letter stands: DEAD until an operator redrives or discards it; DEAD again when it dies again. */
export const DeadLetterStatus = z.enum(['DEAD', 'REDRIVEN', 'DISCARDED']);
export type DeadLetterStatus = z.output<typeof DeadLetterStatus>;

export const DeadLetterSummary = z.object({
  /** Opaque; the same for every death of one message in one group. */
  id: z.string(),
  group: z.string(),
  messageId: z.string(),
  topic: z.string(),
  tag: z.string(),
  key: z.string().optional(),
  reason: z.string(),
  error: z.string(),
  /** How many tries are on record. */
  attemptCount: z.int(),
  status: DeadLetterStatus,
  bornAt: Instant,
  deadAt: Instant,
  resolvedAt: Instant.optional(),
});
export type DeadLetterSummary = z.output<typeof DeadLetterSummary>;

export const DeadLetterView = DeadLetterSummary.extend({
  headers: z.record(z.string(), z.string()),
  /** Earlier failed tries, oldest first. */
  attempts: z.array(z.object({ attempt: z.int(), at: Instant, consumer: z.string(), error: z.string() })),
  /** `json`: `body` is the parsed value; `text`: the string; `base64`: neither, so the bytes. */
  bodyEncoding: z.enum(['json', 'text', 'base64']),
  body: z.unknown(),
});
export type DeadLetterView = z.output<typeof DeadLetterView>;

/** What replaces parts of a dead letter before it is redriven; at least one. `bodyEncoding` says how `body` is written; default `json`. */
export const DeadLetterPatch = z
  .strictObject({
    body: z.unknown().optional(),
    bodyEncoding: z.enum(['json', 'text', 'base64']).optional(),
    headers: z.record(z.string(), z.string()).optional(),
  })
  .refine(({ body, headers }) => body !== undefined || headers !== undefined, 'name body or headers')
  .refine(
    ({ body, bodyEncoding = 'json' }) =>
      body === undefined || bodyEncoding === 'json' || typeof body === 'string',
    'body: a text',
  )
  .refine(
    ({ body, bodyEncoding }) => bodyEncoding !== 'base64' || z.base64().optional().safeParse(body).success,
    'body: no base64',
  )
  .meta({ minProperties: 1 });
export type DeadLetterPatch = z.output<typeof DeadLetterPatch>;

export const ListDeadLettersQuery = z.strictObject({
  group: z.string().max(255).optional(),
  reason: z.string().max(64).optional(),
  status: DeadLetterStatus.optional(),
  cursor: z.string().min(1).max(200).optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
});
export type ListDeadLettersQuery = z.output<typeof ListDeadLettersQuery>;

export const DeadLetterPage = z.object({
  items: z.array(DeadLetterSummary),
  nextCursor: z.string().optional(),
});
export type DeadLetterPage = z.output<typeof DeadLetterPage>;

/** `count` were redriven by this call, `remaining` match the filter and wait for another; a dry run: `count` match. */
export const RedriveResponse = z.object({ count: z.int(), remaining: z.int().optional() });
export type RedriveResponse = z.output<typeof RedriveResponse>;

/** Which messages: those of a key, in one topic or in all. */
export const MessagesQuery = z.strictObject({
  key: z.string().min(1).max(1_024),
  topic: z.string().min(1).max(128).optional(),
});
export type MessagesQuery = z.output<typeof MessagesQuery>;

export const TraceStep = z.object({
  at: Instant,
  step: z.string(),
  group: z.string().optional(),
  /** The member of the group, by the name that its client gave itself. */
  consumer: z.string().optional(),
  /** The machine that member runs on: its host name, or the address that it came from. */
  node: z.string().optional(),
  detail: z.string().optional(),
});
export const MessageTraceView = z.object({ messageId: z.string(), steps: z.array(TraceStep) });
export type MessageTraceView = z.output<typeof MessageTraceView>;
/** Oldest first. */
export const MessagesView = z.object({
  items: z.array(
    MessageTraceView.extend({ topic: z.string(), partition: z.int(), offset: z.int(), storedAt: Instant }),
  ),
});
export type MessagesView = z.output<typeof MessagesView>;

export const AlertView = z.object({
  id: z.uuid(),
  /** What it is about, e.g. `dead-letters:stock.confirm`. */
  name: z.string(),
  status: z.enum(['firing', 'resolved']),
  detail: z.string(),
  count: z.int(),
  threshold: z.int(),
  firedAt: Instant,
  resolvedAt: Instant.optional(),
});
export type AlertView = z.output<typeof AlertView>;

/** What `GET /api/ops/alerts` answers: what fires now, and the last that were resolved; the newest first. */
export const AlertList = z.object({ firing: z.array(AlertView), recent: z.array(AlertView) });
export type AlertList = z.output<typeof AlertList>;

/** One thing that somebody did by hand. */
export const AuditEntryView = z.object({
  id: z.string(),
  /** User id of whoever asked for it. */
  actor: z.string(),
  /** `dead-letter.edit`, `dead-letter.redrive`, `dead-letter.discard`, `group.reset`. */
  action: z.string(),
  /** Id of the dead letter, name of the group. */
  subject: z.string(),
  detail: z.string(),
  at: Instant,
});
export type AuditEntryView = z.output<typeof AuditEntryView>;

export const ListAuditQuery = z.strictObject({
  cursor: z.string().min(1).max(200).optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
});
export type ListAuditQuery = z.output<typeof ListAuditQuery>;

export const AuditPage = z.object({ items: z.array(AuditEntryView), nextCursor: z.string().optional() });
export type AuditPage = z.output<typeof AuditPage>;

/**
 * `demand=<ticketTypeId>:<tickets>[:<last sold-out answer, epoch ms>]`: how many tickets buyers asked
 * for. Without the time, no ticket may be left; with it, tickets given back since are excused.
 */
export const VerdictQuery = z.strictObject({
  demand: z
    .string()
    .regex(/^tt[0-9a-z]{10}:\d{1,9}(:\d{13})?$/)
    .optional(),
});

/** So many of the longest fit into a body of 64 KiB. */
export const MAX_ACCEPTED_ORDERS = 900;
/** Order numbers of orders that the shop answered with 202; longer lists in pieces. */
export const AcceptedOrders = z.strictObject({
  orderNos: z.array(z.string().min(1).max(64)).min(1).max(MAX_ACCEPTED_ORDERS),
});
export type AcceptedOrders = z.output<typeof AcceptedOrders>;

/** Those of them that have no order row. */
export const MissingOrders = z.object({ missing: z.array(z.string()) });
export type MissingOrders = z.output<typeof MissingOrders>;
