import { z } from 'zod';

/** The environment is wrong. The message is the one line that the operator needs. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

/**
 * Parses a service's environment. Call it in a provider's factory, not while a module is imported:
 * `bootService` turns the error into one line and exit code 78.
 *
 * An empty variable counts as absent, because that is what compose files and shells leave behind.
 *
 * @throws {ConfigError} naming every variable that is missing or wrong, on one line.
 */
export function loadConfig<Schema extends z.ZodType>(
  schema: Schema,
  env: Readonly<Record<string, string | undefined>> = process.env,
): z.output<Schema> {
  const present = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = schema.safeParse(present, {
    error: ({ code, expected }) =>
      code === 'invalid_type' && expected === 'number' ? 'must be a number' : undefined,
  });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    (issue) => `${issue.path.join('.') || 'environment'}: ${issue.message}`,
  );
  throw new ConfigError(`wrong configuration: ${problems.join('; ')}`);
}

const DAY_MS = 86_400_000;

/**
 * A length of time in whole milliseconds, for a setting that a timer in this process may wait for. The
 * bound keeps away from 2^31 - 1 (24.8 days): beyond it a Node timer fires at once, and again and again.
 */
export const milliseconds = ({ min, max = DAY_MS }: { min: number; max?: number }) =>
  z.coerce.number().int().min(min).max(max);

/** What a secret must have in production; a local run generates one of this length. */
export const MIN_PRODUCTION_SECRET_CHARS = 32;

/** What docker-compose.yml sets on a laptop: everybody has read it. */
const PUBLISHED_SECRET = /^local-only/;

/** A shared secret: required everywhere; long enough, and not one that is published, where strangers could guess at it. */
export function requireLongSecret(
  name: string,
  env: { NODE_ENV: string },
  secret: string,
  context: z.core.$RefinementCtx,
): void {
  if (env.NODE_ENV !== 'production') return;
  if (PUBLISHED_SECRET.test(secret)) refusePublished(name, context);
  else if (secret.length < MIN_PRODUCTION_SECRET_CHARS) {
    context.addIssue({
      code: 'custom',
      path: [name],
      message: `must have at least ${MIN_PRODUCTION_SECRET_CHARS} characters with NODE_ENV=production`,
    });
  }
}

function refusePublished(name: string, context: z.core.$RefinementCtx): void {
  const message = 'is the one published in docker-compose.yml: set your own with NODE_ENV=production';
  context.addIssue({ code: 'custom', path: [name], message });
}

/** Each is one more signature that a forged token may cost. */
const MAX_PREVIOUS_SECRETS = 8;

/** The entries of a list that is separated by commas. */
export const listed = (text: string): string[] =>
  text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');

/** Where a broker is found. */
export const BrokerUrl = z
  .string()
  .regex(/^(tcp|tls):\/\/[^/]+:\d+\/?$/, 'must be tcp://host:port or tls://host:port');

/**
 * What every service reads. A service's own variables live in a schema of its own
 * (`apps/<service>/src/<service>.config.ts`); both are parsed from the same environment.
 */
export const ServiceConfig = z
  .object({
    NODE_ENV: z.enum(['development', 'test', 'production']).default('development'),
    HOST: z.string().default('127.0.0.1'),
    /** 0 takes any free port. Absent: the service's place in the list of `DEFAULT_PORTS`. */
    PORT: z.coerce.number().int().min(0).max(65_535).optional(),
    BROKER: z.enum(['embedded', 'kafka']).default('embedded'),
    BROKER_URL: BrokerUrl.default('tcp://127.0.0.1:7650'),
    BROKER_TOKEN: z.string().optional(),
    /** Of the service's own database role. Required by services with a database. */
    DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgresql:// URL' }).optional(),
    REDIS_URL: z.url({ protocol: /^rediss?$/, error: 'must be a redis:// URL' }).optional(),
    /** Signs tokens. */
    JWT_SECRET: z.string({ error: 'is required' }),
    /** Older secrets under which tokens still hold, separated by commas. */
    JWT_SECRET_PREVIOUS: z
      .string()
      .default('')
      .transform(listed)
      .pipe(z.array(z.string()).max(MAX_PREVIOUS_SECRETS, `must be at most ${MAX_PREVIOUS_SECRETS} secrets`)),
    /** How long a service that is told to stop goes on answering, not ready, before it closes its port. Balancers need as long to notice. */
    DRAIN_MS: z.coerce.number().int().min(0).max(60_000).default(0),
    LOG_LEVEL: z.enum(['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info'),
  })
  .superRefine((env, context) => {
    requireLongSecret('JWT_SECRET', env, env.JWT_SECRET, context);
    for (const secret of env.JWT_SECRET_PREVIOUS) {
      requireLongSecret('JWT_SECRET_PREVIOUS', env, secret, context);
    }
    if (env.NODE_ENV !== 'production') return;
    if (PUBLISHED_SECRET.test(env.BROKER_TOKEN ?? '')) refusePublished('BROKER_TOKEN', context);
    if (PUBLISHED_SECRET.test(new URL(env.DATABASE_URL ?? 'none:').password)) {
      refusePublished('DATABASE_URL', context);
    }
  });
export type ServiceConfig = z.output<typeof ServiceConfig>;

/** Every secret under which a token holds; the first one signs. */
export const jwtSecretsOf = (config: ServiceConfig): readonly string[] => [
  config.JWT_SECRET,
  ...config.JWT_SECRET_PREVIOUS,
];

/** Where the services of a local run listen unless PORT says otherwise. */
export const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  gateway: 3000,
  order: 3001,
  stock: 3002,
  payment: 3003,
  notification: 3004,
  ops: 3005,
  broker: 3006,
};

/** @throws {ConfigError} when a variable that only some services need is absent. */
export function required(name: 'DATABASE_URL' | 'REDIS_URL', config: ServiceConfig): string {
  const value = config[name];
  if (value === undefined) throw new ConfigError(`wrong configuration: ${name}: is required`);
  return value;
}
