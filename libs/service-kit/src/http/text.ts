import type { FastifyInstance } from 'fastify';
import { isUtf8 } from 'node:buffer';
import { HttpProblem } from '../problem/problem.js';

/** NUL, which Postgres does not store, and half a surrogate pair, which UTF-8 cannot write: neither comes back as it went in. */
const UNSTORABLE = /[\0\p{Cs}]/u;
/** In JSON both can only be written as an escape; a body without any needs no second look. */
const ESCAPE = String.raw`\u`;

/** One rule for every string of every request, before any route sees it: what cannot be stored is refused with 400. */
export function installTextRule(fastify: FastifyInstance): void {
  fastify.addHook('preValidation', (request, _reply, done) => {
    done(refusalOf(request.params, 'path') ?? refusalOf(request.query, 'query'));
  });
}

/**
 * The text of a JSON body.
 *
 * @throws {HttpProblem} 400 `INVALID_REQUEST` when it is not UTF-8: what cannot be decoded would be replaced in silence.
 */
export function textOf(body: Buffer): string {
  if (!isUtf8(body)) throw new HttpProblem(400, 'INVALID_REQUEST', 'body: is not UTF-8');
  return body.toString('utf8');
}

/** Why a body is refused whose `text` was parsed as `value`; undefined when it is not. */
export function refusalOfJson(value: unknown, text: string): HttpProblem | undefined {
  return text.includes(ESCAPE) ? refusalOf(value, 'body') : undefined;
}

/** Keys too. With a list instead of recursion: a body of nothing but brackets is deeper than the stack. */
function refusalOf(value: unknown, where: string): HttpProblem | undefined {
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next === 'string') {
      if (UNSTORABLE.test(next)) {
        return new HttpProblem(400, 'INVALID_REQUEST', `${where}: text with a NUL or half a surrogate pair`);
      }
    } else if (typeof next === 'object' && next !== null) {
      for (const [key, each] of Object.entries(next)) open.push(key, each);
    }
  }
  return undefined;
}
