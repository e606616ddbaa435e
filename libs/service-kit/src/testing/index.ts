/** Real servers for integration tests; no test framework is imported here. */
export { startPostgres, testPasswords } from './postgres.js';
export type { TestPostgres } from './postgres.js';
export { startRedis } from './redis.js';
export type { TestRedis } from './redis.js';
export { freePort, onFreePort } from './free-port.js';
export { FaultProxy, isCommitted } from './fault-proxy.js';
export type { Interception, Outcome, SwallowOptions } from './fault-proxy.js';
export { RewritingProxy } from './rewriting-proxy.js';
