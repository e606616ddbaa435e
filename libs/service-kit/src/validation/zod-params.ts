import { Body, Param, Query, type PipeTransform } from '@nestjs/common';
import type { z } from 'zod';
import { HttpProblem } from '../problem/problem.js';

/** @throws {HttpProblem} 400 `INVALID_REQUEST` whose detail names every field that is wrong. */
export function parseRequest<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  where: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const detail = parsed.error.issues
    .map((issue) => `${[where, ...issue.path.map(String)].join('.')}: ${issue.message}`)
    .join('; ');
  throw new HttpProblem(400, 'INVALID_REQUEST', detail);
}

class ZodPipe implements PipeTransform {
  constructor(
    private readonly schema: z.ZodType,
    private readonly where: string,
  ) {}

  transform(value: unknown): unknown {
    return parseRequest(this.schema, value, this.where);
  }
}

/** The JSON body as `schema` parses it: `@ZodBody(PlaceOrder) order: PlaceOrder`. */
export const ZodBody = (schema: z.ZodType): ParameterDecorator => Body(new ZodPipe(schema, 'body'));

/** The query string as `schema` parses it; every value arrives as text, so numbers need `z.coerce`. */
export const ZodQuery = (schema: z.ZodType): ParameterDecorator => Query(new ZodPipe(schema, 'query'));

/** One path parameter as `schema` parses it. */
export const ZodParam = (name: string, schema: z.ZodType): ParameterDecorator =>
  Param(name, new ZodPipe(schema, name));
