import { pino } from 'pino';

/** What a client says about things its caller cannot see. A pino logger is one. */
export interface ClientLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

/** Used when the caller gives no log: warnings must not be lost, the rest is noise. */
export const defaultLog = (): ClientLog => pino({ name: 'broker-client', level: 'warn' });

export const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error));
