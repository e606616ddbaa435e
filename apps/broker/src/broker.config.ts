import { z } from 'zod';
import { DEFAULT_PORTS, requireLongSecret } from '#libs/service-kit/process';

const Port = z.coerce.number().int().min(0).max(65_535);
const DEFAULT_BROKER_PORT = 7650;

/** What the broker's process reads from its environment. */
export const BrokerConfig = z
  .object({
    NODE_ENV: z.enum(['development', 'test', 'production']).default('development'),
    /** Where the journal lives. One broker at a time. */
    BROKER_DIR: z.string({ error: 'is required' }),
    BROKER_TOKEN: z.string({ error: 'is required' }),
    /** Clients find the broker by it; the broker takes its port from it, and its host, unless these are set apart. */
    BROKER_URL: z
      .string()
      .regex(/^(tcp|tls):\/\/[^/]+:\d+$/, 'must be tcp://host:port')
      .optional(),
    HOST: z.string().optional(),
    BROKER_PORT: Port.optional(),
    /** Health and metrics. */
    PORT: Port.default(DEFAULT_PORTS['broker'] ?? 0),
    /** PEM files; with both, only TLS is spoken. */
    BROKER_TLS_KEY: z.string().optional(),
    BROKER_TLS_CERT: z.string().optional(),
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
