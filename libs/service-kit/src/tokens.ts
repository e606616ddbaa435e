/** Injection tokens of what `ServiceModule` provides beside the tokens of #libs/messaging. */

/** The parsed `ServiceConfig`. */
export const SERVICE_CONFIG = Symbol('SERVICE_CONFIG');
/** The service's name, as given to `ServiceModule.forRoot`. */
export const SERVICE_NAME = Symbol('SERVICE_NAME');
/** The service's pino logger. */
export const LOGGER = Symbol('LOGGER');
/** The service's ioredis connection; only with `redis: true`. */
export const REDIS = Symbol('REDIS');
