/**
 * What clients hand over as JSON. No compiler has seen it, and what the engine records it has to be able to
 * read back at every later start: so it is checked before anything is recorded.
 */
import { z } from 'zod';
import { type BrokerAdmin, MessagingError } from '#libs/messaging/port';

/** Topics of one subscription, and tags of one topic. */
const MAX_FILTERS = 1_000;

const Text = z.string();
const Whole = z.int();

/** Epoch milliseconds, as far as a `Date` goes. */
const Instant = z.number().min(0).max(8_640_000_000_000_000);

const Filter = z.object({ topic: Text, tags: z.array(Text).max(MAX_FILTERS).optional() });

/** Names and bounds are checked where they are used; here, that each part is of its kind. */
export const SubscriptionArgument = z.object({
  group: Text,
  topics: z.array(Filter).min(1).max(MAX_FILTERS),
  mode: z.enum(['shared', 'broadcast']).optional(),
  order: z.enum(['unordered', 'by-key']).optional(),
  startAt: z.union([z.enum(['earliest', 'latest']), z.object({ timestampMs: Instant })]).optional(),
  priorities: z.enum(['strict', 'weighted']).optional(),
  guarantee: z.enum(['at-least-once', 'at-most-once']).optional(),
});

export const ConsumerMode = z.enum(['push', 'pull']);

const ResetTarget = z.union([
  z.enum(['earliest', 'latest']),
  z.object({ partition: Whole, offset: Whole }),
  z.object({ timestampMs: Instant }),
]);

const Options = z.record(Text, z.unknown()).optional();
const Limit = Whole.min(0).optional();

const PageQuery = z.object({ limit: Whole.optional(), after: Text.optional() }).optional();

/** Arguments of every call that operators may name. */
export const ADMIN_ARGUMENTS = {
  createTopic: z.tuple([Text, Options]),
  topics: z.tuple([]),
  topicsPage: z.tuple([PageQuery]),
  groups: z.tuple([]),
  groupsPage: z.tuple([PageQuery]),
  timers: z.tuple([]),
  transactions: z.tuple([]),
  storage: z.tuple([]),
  decideTransaction: z.tuple([Text, z.enum(['commit', 'rollback'])]),
  read: z.tuple([Text, Whole, z.number(), z.number()]),
  resetGroup: z.tuple([Text, ResetTarget]),
  deleteGroup: z.tuple([Text]),
  deleteTopic: z.tuple([Text]),
  deadLetters: z.tuple([Text, z.object({ limit: Limit, afterOffset: Whole.optional() }).optional()]),
  redrive: z.tuple([Text, Text]),
  editDeadLetter: z.tuple([
    Text,
    Text,
    z.strictObject({ body: z.instanceof(Uint8Array).optional(), headers: z.record(Text, Text).optional() }),
  ]),
  redriveAll: z.tuple([Text, Options, z.object({ dryRun: z.boolean().optional() }).optional()]),
  discard: z.tuple([Text, Text]),
  trace: z.tuple([Text]),
  traceByKey: z.tuple([Text, Text.optional()]),
  audit: z.tuple([z.object({ limit: Limit, group: Text.optional() }).optional()]),
} as const satisfies Record<keyof BrokerAdmin, z.ZodType>;

/** @throws {MessagingError} `INVALID_ARGUMENT`, naming the part that is not as `schema` says */
export function checkArgument(name: string, value: unknown, schema: z.ZodType): void {
  const [issue] = schema.safeParse(value).error?.issues ?? [];
  if (issue === undefined) return;
  throw new MessagingError('INVALID_ARGUMENT', `${[name, ...issue.path].join('.')}: ${issue.message}`);
}
