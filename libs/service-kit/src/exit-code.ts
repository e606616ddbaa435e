import { ConfigError } from './config.js';

/** `EX_CONFIG` of sysexits.h: another start ends the same way until somebody changes a setting, a file or what else holds a port. */
export const CONFIG_EXIT_CODE = 78;

/** What the system and the broker say of a port, a file or a token that is not ours to use. */
const NEEDS_THE_OPERATOR = new Set<unknown>([
  ...['EADDRINUSE', 'EADDRNOTAVAIL', 'EACCES', 'EPERM', 'ENOTDIR', 'EROFS'],
  ...['LOG_CORRUPT', 'AUTHENTICATION_FAILED'],
]);

/** With which code a process ends that cannot start: 78 when another start would not help, else 1. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof ConfigError) return CONFIG_EXIT_CODE;
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return NEEDS_THE_OPERATOR.has(code) ? CONFIG_EXIT_CODE : 1;
}
