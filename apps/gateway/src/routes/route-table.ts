import type { HTTPMethods } from 'fastify';
import type { Upstream } from '../upstream/upstreams.js';

export type ProxiedRoute = {
  /** A Fastify route pattern. */
  url: string;
  methods: readonly HTTPMethods[];
  to: Upstream;
  /** How long its answer may take to begin. Absent: as long as any (`UPSTREAM_TIMEOUT_MS`). */
  timeoutMs?: number;
};

/** A verdict reads every order, and ops gives its database two minutes for that. */
const REPORT_TIMEOUT_MS = 150_000;
/** A redrive of many is paced, and told when it is done: five seconds of work in one call. */
const REDRIVE_TIMEOUT_MS = 15_000;

/** HEAD comes with GET. */
const ALL: readonly HTTPMethods[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

/**
 * Which service answers what the gateway does not answer itself. What is not listed does not exist
 * outside: the services' `/internal`, `/metrics` and `/health` stay inside.
 */
export const PROXIED_ROUTES: readonly ProxiedRoute[] = [
  { url: '/api/shows', methods: ['GET'], to: 'stock' },
  { url: '/api/admin/shows', methods: ['POST'], to: 'stock' },
  { url: '/api/orders', methods: ['GET'], to: 'order' },
  { url: '/api/orders/:orderNo/cancel', methods: ['POST'], to: 'order' },
  { url: '/api/payments/webhook', methods: ['POST'], to: 'payment' },
  { url: '/api/provider/*', methods: ALL, to: 'payment' },
  // With every method, so that none of them ends at ops; its owner says which there are.
  { url: '/api/ops/mailbox*', methods: ALL, to: 'notification' },
  { url: '/api/ops/verdict', methods: ['GET'], to: 'ops', timeoutMs: REPORT_TIMEOUT_MS },
  { url: '/api/ops/dead-letters/redrive', methods: ['POST'], to: 'ops', timeoutMs: REDRIVE_TIMEOUT_MS },
  { url: '/api/ops/*', methods: ALL, to: 'ops' },
];
