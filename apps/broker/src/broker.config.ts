import { z } from 'zod';
import type { BrokerOptions } from '#libs/broker';
import { BrokerUrl, DEFAULT_PORTS, requireLongSecret } from '#libs/service-kit/process';

const Port = z.coerce.number().int().min(0).max(65_535);
const DEFAULT_BROKER_PORT = 7650;

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const MIB = 1024 * 1024;
/** Ten years. */
const MAX_AGE_MS = 3_650 * DAY_MS;
const whole = (least: number, most: number) => z.coerce.number().int().min(least).max(most);

/** How the journal is kept: what `EmbeddedBroker.open` takes, by the names of the environment. */
const journalSettings = {
  /** Of topics that a first send makes. */
  BROKER_FLUSH: z.enum(['sync', 'async']).default('sync'),
  /** What `async` topics may lose in a power cut. */
  BROKER_ASYNC_FLUSH_MS: whole(1, MINUTE_MS).default(1_000),
  BROKER_ON_DAMAGE: z.enum(['refuse', 'quarantine']).default('refuse'),
  BROKER_RETENTION_MS: whole(1_000, MAX_AGE_MS).default(7 * DAY_MS),
  /** 0: no bound. */
  BROKER_RETENTION_BYTES: whole(0, Number.MAX_SAFE_INTEGER).default(0),
  BROKER_RETENTION_UNSETTLED: z.enum(['keep', 'drop']).default('keep'),
  BROKER_DEAD_LETTER_RETENTION_MS: whole(1_000, MAX_AGE_MS).default(30 * DAY_MS),
  /** Some 200 bytes of memory each, and 50 in each segment. */
  BROKER_DEAD_LETTERS_PER_GROUP: whole(1, 1_000_000).default(100_000),
  /** A start holds two segments in memory. */
  BROKER_SEGMENT_BYTES: whole(64 * 1024, 512 * MIB).default(64 * MIB),
  /** Kept on the disk for consumers to drain; 0: none. */
  BROKER_RESERVE_BYTES: whole(0, 1024 * MIB).default(8 * MIB),
  /** 20 bytes of memory each, up to 64 on disk; 0: no trace. */
  BROKER_TRACE_STEPS: whole(0, 10_000_000).default(100_000),
  BROKER_DEDUPLICATION_MS: whole(1_000, DAY_MS).default(2 * MINUTE_MS),
  /** Half of them are remembered for certain; up to 48 bytes of memory each. */
  BROKER_DEDUPLICATION_IDS: whole(2, 16_000_000).default(1_000_000),
};

/** What the broker's process reads from its environment. */
export const BrokerConfig = z
  .object({
    NODE_ENV: z.enum(['development', 'test', 'production']).default('development'),
    /** Where the journal lives. One broker at a time. */
    BROKER_DIR: z.string({ error: 'is required' }),
    BROKER_TOKEN: z.string({ error: 'is required' }),
    /** Clients find the broker by it; the broker takes its port from it, and its host, unless these are set apart. */
    BROKER_URL: BrokerUrl.optional(),
    HOST: z.string().optional(),
    BROKER_PORT: Port.optional(),
    /** Health and metrics. */
    PORT: Port.default(DEFAULT_PORTS['broker'] ?? 0),
    /** PEM files; with both, only TLS is spoken. */
    BROKER_TLS_KEY: z.string().optional(),
    BROKER_TLS_CERT: z.string().optional(),
    ...journalSettings,
    LOG_LEVEL: z.enum(['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info'),
  })
  .superRefine((env, context) => {
    requireLongSecret('BROKER_TOKEN', env, env.BROKER_TOKEN, context);
    if ((env.BROKER_TLS_KEY === undefined) !== (env.BROKER_TLS_CERT === undefined)) {
      context.addIssue({
        code: 'custom',
        path: ['BROKER_TLS_KEY'],
        message: 'needs BROKER_TLS_CERT, and the other way round',
      });
    }
  })
  .transform((env) => {
    const url = env.BROKER_URL === undefined ? undefined : new URL(env.BROKER_URL);
    return {
      ...env,
      HOST: env.HOST ?? url?.hostname ?? '127.0.0.1',
      BROKER_PORT: env.BROKER_PORT ?? (url === undefined ? DEFAULT_BROKER_PORT : Number(url.port)),
    };
  });
export type BrokerConfig = z.output<typeof BrokerConfig>;

/** The settings as the broker takes them. */
export const brokerOptions = (env: BrokerConfig): Omit<BrokerOptions, 'onProblem'> => ({
  dir: env.BROKER_DIR,
  flush: env.BROKER_FLUSH,
  asyncFlushMs: env.BROKER_ASYNC_FLUSH_MS,
  onDamage: env.BROKER_ON_DAMAGE,
  retention: {
    maxAgeMs: env.BROKER_RETENTION_MS,
    maxBytes: env.BROKER_RETENTION_BYTES === 0 ? Infinity : env.BROKER_RETENTION_BYTES,
    unsettled: env.BROKER_RETENTION_UNSETTLED,
  },
  deadLetters: {
    maxAgeMs: env.BROKER_DEAD_LETTER_RETENTION_MS,
    maxPerGroup: env.BROKER_DEAD_LETTERS_PER_GROUP,
  },
  segmentBytes: env.BROKER_SEGMENT_BYTES,
  reserveBytes: env.BROKER_RESERVE_BYTES,
  traceSteps: env.BROKER_TRACE_STEPS,
  deduplication: { windowMs: env.BROKER_DEDUPLICATION_MS, maxIds: env.BROKER_DEDUPLICATION_IDS },
});
