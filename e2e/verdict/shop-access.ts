import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Something the person at the keyboard can put right; told in one line, without a stack. */
export class Refusal extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Refusal';
  }
}

type Env = Readonly<Record<string, string | undefined>>;

/** `SHOP_URL`, else the local gateway on `PORT`. Without a slash at the end. */
export function shopUrl(env: Env = process.env): string {
  const text = env['SHOP_URL'] || `http://127.0.0.1:${env['PORT'] || 3000}`;
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) {
    throw new Refusal(`SHOP_URL must be an http(s) URL, not "${text}"`);
  }
  return text.replace(/\/+$/, '');
}

/** `JWT_SECRET`, else the one that `npm run shop` made for this machine. */
export function jwtSecret(env: Env = process.env): string {
  if (env['JWT_SECRET']) return env['JWT_SECRET'];
  const path = join(env['STAMPEDE_DIR'] || '.stampede', 'secrets.json');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new Refusal(`set JWT_SECRET: ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const secret = secretIn(text);
  if (typeof secret !== 'string') throw new Refusal(`set JWT_SECRET: ${path} has none`);
  return secret;
}

function secretIn(text: string): unknown {
  try {
    return (JSON.parse(text) as { jwtSecret?: unknown } | null)?.jwtSecret;
  } catch {
    return undefined;
  }
}

const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
const HEADER = encode({ alg: 'HS256', typ: 'JWT' });

/** Signs tokens as the shop would. Not a library's job here: one is made per request of a load of thousands a second. */
export function tokenSigner(secret: string, validForSeconds = 3_600) {
  return (sub: string, roles: readonly string[] = []): string => {
    const now = Math.floor(Date.now() / 1000);
    const unsigned = `${HEADER}.${encode({ sub, roles, iat: now, exp: now + validForSeconds })}`;
    return `${unsigned}.${createHmac('sha256', secret).update(unsigned).digest('base64url')}`;
  };
}
