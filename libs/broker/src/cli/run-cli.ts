import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MessagingError } from '#libs/messaging/port';
import { connectBroker } from '../client/connect-broker.js';
import { COMMANDS } from './commands.js';
import type { CliContext, CliOptions } from './command.js';
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
    const local = await localBroker();
    const port = connectBroker({
      url: (values.url ?? env['BROKER_URL']) || (local.brokerUrl ?? DEFAULT_URL),
      // Without one, the broker's refusal says what is missing.
      token: (values.token ?? env['BROKER_TOKEN']) || (local.brokerToken ?? ''),
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
        reason: text,
        topic: text,
        group: text,
        rate: text,
        'dry-run': flag,
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Where the shop's local run keeps its broker, and the token that it generated; neither when there was none. */
async function localBroker(): Promise<{ brokerUrl?: string; brokerToken?: string }> {
  try {
    const path = join(process.env['STAMPEDE_DIR'] || '.stampede', 'secrets.json');
    const secrets = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    const { brokerUrl, brokerToken } = secrets;
    return {
      ...(typeof brokerUrl === 'string' && { brokerUrl }),
      ...(typeof brokerToken === 'string' && { brokerToken }),
    };
  } catch {
    // No local run has been here.
    return {};
  }
}
