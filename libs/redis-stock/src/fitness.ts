/** What the scripts and their callers run. */
export const COMMANDS = [
  ...[
    'HGET',
    'HMGET',
    'HSET',
    'HINCRBY',
    'HDEL',
    'HLEN',
    'HVALS',
    'HGETALL',
    'HSCAN',
    'EXISTS',
    'DEL',
    'EXPIRE',
  ],
  ...['ZADD', 'ZREM', 'ZRANGEBYSCORE', 'SET', 'GET', 'SADD', 'SISMEMBER', 'MULTI', 'EXEC', 'TIME'],
] as const;

/** `SET … NX GET`, `redis.acl_check_cmd`, and scripts that are checked for memory before they begin. */
const LEAST_MAJOR_VERSION = 7;

/** What one look at a Redis says of it as a place for stock. */
export type Fitness = {
  /**
   * Names the data's past: the process that holds it, and its history of replication, which a server that was
   * a replica for a while has exchanged for its primary's. Counters are verified for one such past.
   */
  runId: string;
  /** The server's clock. */
  nowMs: number;
  /** Why no stock is kept here. Each is a line for the operator that says what to do. */
  refusals: readonly string[];
  /** What may lose stock one day. */
  warnings: readonly string[];
};

/**
 * @param info the answer to INFO
 * @param denied those of `COMMANDS` that cannot be run; undefined when the server is too old to be asked
 */
export function fitnessOf(info: string, denied: readonly string[] | undefined): Fitness {
  const read = (field: string): string => new RegExp(`^${field}:(.*?)\r?$`, 'm').exec(info)?.[1] ?? '';
  const version = read('redis_version');
  const policy = read('maxmemory_policy');
  const refusals: string[] = [];
  const warnings: string[] = [];
  if (isTooOld(info)) {
    refusals.push(
      `Redis is ${version}, and 7.0 or later is needed (or Valkey): Debian 11 and Ubuntu up to 22.04 ship an ` +
        'older one. Install it from packages.redis.io, or set REDIS_URL to another.',
    );
  }
  if (denied !== undefined && denied.length > 0) {
    refusals.push(
      `Redis does not let the user of REDIS_URL run ${denied.join(', ')}: allow it by ACL SETUSER, and rename no commands.`,
    );
  }
  if (policy.startsWith('allkeys') && Number(read('maxmemory')) > 0) {
    refusals.push(
      `Redis would drop stock counters when its memory is full (maxmemory-policy ${policy}): set it to noeviction.`,
    );
  } else if (policy !== 'noeviction' && policy !== '') {
    warnings.push(
      `Redis may drop keys when its memory is full (maxmemory-policy ${policy}): set it to noeviction.`,
    );
  }
  if (read('aof_enabled') === '0') {
    warnings.push(
      'Redis keeps no append-only file: its restart loses the reservations of orders not yet written. Set appendonly to yes.',
    );
  }
  return {
    runId: `${read('run_id')}:${read('master_replid')}`,
    nowMs: Math.floor(Number(read('server_time_usec')) / 1_000),
    refusals,
    warnings,
  };
}

/** Too old to be asked which commands it would run. Also when it does not say how old it is. */
export const isTooOld = (info: string): boolean =>
  !(Number(/^redis_version:(\d+)/m.exec(info)?.[1]) >= LEAST_MAJOR_VERSION);
