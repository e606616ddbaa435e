import type { Readable } from 'node:stream';
import { type BrokerPort, MessagingError } from '#libs/messaging/port';
import { table } from './table.js';
import { UsageError } from './usage.js';

export type CliOptions = {
  url?: string;
  token?: string;
  json?: boolean;
  help?: boolean;
  all?: boolean;
  partition?: string;
  offset?: string;
  limit?: string;
  tag?: string;
  key?: string;
  header?: string[];
  delay?: string;
  ttl?: string;
  timer?: string;
  reason?: string;
  topic?: string;
  group?: string;
  rate?: string;
  'dry-run'?: boolean;
};

export type CliContext = {
  port: BrokerPort;
  operands: readonly string[];
  options: CliOptions;
  out: (line: string) => void;
  input: Readable;
  /** Resolves on Ctrl-C. */
  interrupted: Promise<unknown>;
};

export type Command = (context: CliContext) => Promise<void>;

/** A table, or a JSON value per line. */
export function show(
  rows: readonly Record<string, string | number>[],
  { json }: CliOptions,
  out: (line: string) => void,
): void {
  if (json === true) for (const row of rows) out(JSON.stringify(row));
  else if (rows.length === 0) out('none');
  else for (const text of table(rows)) out(text);
}

/** @throws {UsageError} */
export function operand(operands: readonly string[], index: number, name: string): string {
  const value = operands[index];
  if (value === undefined) throw new UsageError(`${name} is missing`);
  return value;
}

/**
 * The group that an operand names: a name that was mistyped has no lag and no dead letters either.
 * @throws {MessagingError} `UNKNOWN_GROUP`
 */
export async function knownGroup({ port, operands }: CliContext): Promise<string> {
  const name = operand(operands, 0, 'GROUP');
  const groups = await port.admin.groups();
  if (groups.every(({ group }) => group !== name)) throw new MessagingError('UNKNOWN_GROUP', `group ${name}`);
  return name;
}

/** @throws {UsageError} */
export function number(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new UsageError(`${name} ${text}: a whole number is needed`);
  return value;
}

/** @throws {UsageError} */
export function header(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`--header ${text}: write NAME=VALUE`);
  return [text.slice(0, at), text.slice(at + 1)];
}
