/**
 * `npm run verdict [-- --wait SECONDS] [--demand ID:TICKETS] [--accepted FILE] [--json FILE]`: does the running shop's
 * bookkeeping hold? FILE has the order numbers that callers were told with 202, one a line.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { awaitVerdict, verdictTable } from './ask-verdict.js';
import { jwtSecret, Refusal, shopUrl, tokenSigner } from './shop-access.js';

const USAGE =
  'usage: npm run verdict -- [--wait SECONDS] [--demand ID:TICKETS] [--accepted FILE] [--json FILE]';

function readOptions(args: string[]): {
  waitMs: number;
  json: string | undefined;
  demand: string | undefined;
  accepted: string[] | undefined;
} {
  const text = { type: 'string' } as const;
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: { wait: text, json: text, demand: text, accepted: text },
    }));
  } catch (error) {
    throw new Refusal(`${(error as Error).message}; ${USAGE}`);
  }
  const seconds = Number(values.wait ?? 0);
  if (!Number.isFinite(seconds) || seconds < 0)
    throw new Refusal(`--wait: not a number of seconds: ${values.wait}`);
  return {
    waitMs: seconds * 1_000,
    json: values.json,
    demand: values.demand,
    accepted: orderNosIn(values.accepted),
  };
}

function orderNosIn(path: string | undefined): string[] | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '');
  } catch (error) {
    throw new Refusal(`--accepted: ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

async function main(): Promise<void> {
  const { waitMs, json, ...question } = readOptions(process.argv.slice(2));
  const token = tokenSigner(jwtSecret())('verdict', ['admin']);
  const verdict = await awaitVerdict({ url: shopUrl(), token, ...question }, waitMs);
  process.stdout.write(`${verdictTable(verdict)}\n`);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(verdict, null, 2)}\n`);
  process.exitCode = verdict.ok ? 0 : 1;
}

try {
  await main();
} catch (error) {
  process.stderr.write(
    `verdict: ${error instanceof Refusal ? error.message : String((error as Error).stack)}\n`,
  );
  process.exitCode = 1;
}
