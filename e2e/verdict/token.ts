/**
 * `npm run token -- [admin] [--user NAME]`: prints a token of the running shop, good for an hour: of an operator with
 * `admin`, of a buyer without.
 */
import { parseArgs } from 'node:util';
import { jwtSecret, Refusal, tokenSigner } from './shop-access.js';

const USAGE = 'usage: npm run --silent token -- [admin] [--user NAME]';

function tokenFor(args: string[]): string {
  let asked;
  try {
    asked = parseArgs({ args, options: { user: { type: 'string' } }, allowPositionals: true });
  } catch (error) {
    throw new Refusal(`${(error as Error).message}; ${USAGE}`);
  }
  const { values, positionals: roles } = asked;
  const user = values.user ?? (roles.length > 0 ? 'operator' : undefined);
  // Of others none is a person's: services sign their own.
  if (roles.some((role) => role !== 'admin') || !user) throw new Refusal(USAGE);
  return tokenSigner(jwtSecret())(user, roles);
}

try {
  process.stdout.write(`${tokenFor(process.argv.slice(2))}\n`);
} catch (error) {
  process.stderr.write(
    `token: ${error instanceof Refusal ? error.message : String((error as Error).stack)}\n`,
  );
  process.exitCode = 1;
}
