import { z } from 'zod';

export const VerdictCheck = z.object({ name: z.string(), ok: z.boolean(), detail: z.string() });
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

/** Which dead letters to redrive; at least one field. */
export const RedriveFilter = z.strictObject({
  filter: z
    .strictObject({
      group: z.string().optional(),
      topic: z.string().optional(),
      tag: z.string().optional(),
      reason: z.string().optional(),
      before: z.iso.datetime().optional(),
    })
    .refine((filter) => Object.keys(filter).length > 0, 'name at least one field'),
});
export type RedriveFilter = z.output<typeof RedriveFilter>;
