export { bootService, serve, startService } from './boot.js';
export type { RunningService, Service } from './boot.js';
export * from './process.js';
export { ServiceModule } from './service.module.js';
export type { ServiceOptions } from './service.module.js';
export { LOGGER, REDIS, SERVICE_CONFIG, SERVICE_NAME } from './tokens.js';
export { CLOCK, systemClock } from './clock.js';
export type { Clock } from './clock.js';
export { RawBody, ServiceAdapter, MAX_REQUEST_BODY_BYTES } from './http/fastify.js';
export { pageCursor } from './http/page-cursor.js';
export { currentCorrelation } from './logs/correlation.js';
export { HttpProblem, problemOf, PROBLEM_CONTENT_TYPE } from './problem/problem.js';
export type { Problem } from './problem/problem.js';
export { retryAfter, toHttpProblem } from './problem/translate.js';
export { sendProblem } from './problem/problem.filter.js';
export { signToken, verifyToken } from './auth/tokens.js';
export type { User } from './auth/tokens.js';
export { authenticate } from './auth/auth.guard.js';
export { CurrentUser, Public, Roles } from './auth/decorators.js';
export type { Role } from './auth/decorators.js';
export { parseRequest, ZodBody, ZodParam, ZodQuery } from './validation/zod-params.js';
export { Health } from './health/health.js';
export type { HealthCheck } from './health/health.js';
export { Metrics } from './metrics/metrics.js';
export { PeriodicJob } from './jobs/periodic-job.js';
export {
  Reconciliation,
  ReconciliationConfig,
  REPORT_AGAIN_AFTER_MS,
} from './reconciliation/reconciliation.js';
export type { Case, ReconciliationRule } from './reconciliation/reconciliation.js';
export { Batcher } from './batching/batcher.js';
export { openDatabase, MAX_DATABASE_CONNECTIONS, withStatementTimeout } from './database/database.js';
export type { DatabaseClass, DatabaseTransaction, ServiceDatabase } from './database/database.js';
export {
  isDatabaseUnavailable,
  isUniqueViolation,
  provesNothingWritten,
  sqlStateOf,
} from './database/database-error.js';
export { inTime, writesHaveEnded } from './database/write-deadline.js';
export { PrismaOutbox } from './outbox/prisma-outbox.js';
export { PrismaInbox } from './database/prisma-inbox.js';
export { RowRetention } from './database/row-retention.js';
export { jwtSecretsOf, listed, milliseconds } from './config.js';
export { openRedis } from './redis/redis.js';
