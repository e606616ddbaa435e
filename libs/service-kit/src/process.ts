/** `#libs/service-kit/process`: what every process has, those that are no Nest application included. */
export { stopOnSignals } from './stop-on-signals.js';
export {
  BrokerUrl,
  ServiceConfig,
  ConfigError,
  DEFAULT_PORTS,
  loadConfig,
  requireLongSecret,
} from './config.js';
export { exitCodeOf } from './exit-code.js';
export { createLogger } from './logs/logger.js';
