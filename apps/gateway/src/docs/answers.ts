import { z } from 'zod';
import type { ZodOpenApiResponseObject } from 'zod-openapi';

const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string(),
    detail: z.string(),
    correlationId: z.string(),
  })
  .meta({ id: 'Problem' });

export const json = (schema: z.ZodType, description: string): ZodOpenApiResponseObject => ({
  description,
  content: { 'application/json': { schema } },
});

/** A refusal; the text lists its codes. */
export const problem = (codes: string): ZodOpenApiResponseObject => ({
  description: codes,
  content: { 'application/problem+json': { schema: Problem } },
});

const retryAfter = z.string().meta({ header: { id: 'RetryAfter', description: 'Seconds' } });

/** A refusal that another try may turn. */
export const problemForNow = (codes: string): ZodOpenApiResponseObject => ({
  ...problem(codes),
  headers: z.object({ 'retry-after': retryAfter }),
});

export const body = (schema: z.ZodType, example?: object) => ({
  required: true,
  content: { 'application/json': { schema, ...(example !== undefined && { example }) } },
});
/** A route that asks for no token. */
export const open: [] = [];
