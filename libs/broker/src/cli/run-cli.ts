import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { MessagingError } from '#libs/messaging';
import { connectBroker } from '../client/connect-broker.js';
import { COMMANDS } from './commands.js';
import type { CliContext, CliOptions } from './commands.js';
import { FILE_COMMANDS } from './file-commands.js';
import { USAGE, UsageError } from './usage.js';

const DEFAULT_URL = 'tcp://127.0.0.1:7650';
const CONNECT_MS = 5_000;
/** A log that says nothing: what goes wrong is told by the command that it stops. */
const SILENT = { info: () => undefined, warn: () => undefined };

export type CliSurroundings = Pick<CliContext, 'out' | 'input' | 'interrupted'> & {
  env: Readonly<Record<string, string | undefined>>;
  error: (line: string) => void;
};

/** Runs one command; the answer is the process's exit code: 0 done, 1 failed, 2 not understood. */
export async function runCli(args: readonly string[], surroundings: CliSurroundings): Promise<number> {
  const { env, error } = surroundings;
  try {
    const { values, positionals } = parse(args);
    const [name, ...operands] = positionals;
    if (name === undefined || name === 'help' || values.help === true) {
      surroundings.out(USAGE);
      return name === undefined ? 2 : 0;
    }
    const fileCommand = FILE_COMMANDS[name];
    if (fileCommand) return await fileCommand(operands, values, surroundings.out);
    const command = COMMANDS[name];
    if (command === undefined) throw new UsageError(`there is no command "${name}"`);
    const port = connectBroker({
      url: values.url ?? env['BROKER_URL'] ?? DEFAULT_URL,
      token: values.token ?? env['BROKER_TOKEN'] ?? (await localToken()),
      clientName: `cli:${process.pid}`,
      requestTimeoutMs: CONNECT_MS,
      log: SILENT,
    });
    try {
      await port.ready(CONNECT_MS);
      await command({ ...surroundings, port, operands, options: values });
    } finally {
      await port.close();
    }
    return 0;
  } catch (failure) {
    if (failure instanceof UsageError) {
      error(`${failure.message}\n\n${USAGE}`);
      return 2;
    }
    if (!(failure instanceof MessagingError)) throw failure;
    error(failure.message);
    return 1;
  }
}

function parse(args: readonly string[]): { values: CliOptions; positionals: string[] } {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        url: text,
        token: text,
        json: flag,
        help: flag,
        all: flag,
        partition: text,
        offset: text,
        limit: text,
        tag: text,
        key: text,
        header: { type: 'string', multiple: true },
        delay: text,
        ttl: text,
        timer: text,
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** The token that a local run of the shop generated, or an empty one that the broker will refuse by name. */
async function localToken(): Promise<string> {
  try {
    const secrets: unknown = JSON.parse(await readFile('.stampede/secrets.json', 'utf8'));
    if (typeof secrets === 'object' && secrets !== null && 'brokerToken' in secrets)
      return String(secrets.brokerToken);
  } catch {
    // No local run has been here; the broker's refusal says what is missing.
  }
  return '';
}
