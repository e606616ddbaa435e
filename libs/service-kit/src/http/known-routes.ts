import type { FastifyInstance } from 'fastify';
import { HttpProblem } from '../problem/problem.js';

type Route = { pattern: RegExp; parameters: number; methods: readonly string[] };

/**
 * Knows every route that was registered, so that a request that no route took can be told apart: the
 * path is unknown (404), or it is known and only the method is wrong (405 with `Allow`).
 */
export class KnownRoutes {
  private readonly routes: Route[] = [];

  /** Must be called before the routes are registered. */
  watch(fastify: FastifyInstance): void {
    fastify.addHook('onRoute', ({ url, method }) => {
      this.add(url, typeof method === 'string' ? [method] : method);
    });
  }

  add(url: string, methods: readonly string[]): void {
    // A catch-all (static files, a prefix that is passed on) knows no paths: it would turn every unknown one into a 405.
    if (url.endsWith('*')) return;
    this.routes.push({ pattern: patternOf(url), parameters: url.split('/:').length - 1, methods });
  }

  /** Why no route took the request. */
  refusal(method: string, url: string): HttpProblem {
    const path = url.split('?', 1)[0] ?? url;
    const allowed = new Set<string>();
    const matching = this.routes.filter(({ pattern }) => pattern.test(path));
    // `…/dead-letters/redrive` is a path of its own, not the dead letter `redrive`.
    const fewest = Math.min(...matching.map(({ parameters }) => parameters));
    for (const { parameters, methods } of matching) {
      if (parameters === fewest) for (const each of methods) allowed.add(each);
    }
    if (allowed.size === 0 || allowed.has(method)) {
      return new HttpProblem(404, 'NOT_FOUND', `There is nothing at ${path}.`);
    }
    const allow = [...allowed].sort().join(', ');
    return new HttpProblem(405, 'METHOD_NOT_ALLOWED', `${path} takes ${allow}, not ${method}.`, { allow });
  }
}

/** `/api/orders/:orderNo` → `^/api/orders/[^/]+/?$`, with or without a slash at the end. */
function patternOf(url: string): RegExp {
  const segments = url
    .replace(/\/$/, '')
    .split('/')
    .map((segment) => {
      if (segment.startsWith(':')) return '[^/]+';
      return segment.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
    });
  return new RegExp(`^${segments.join('/')}/?$`);
}
