/** The commands of docs/first-purchase.md are one program. They are run as they stand, but for the shop's address. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { repositoryRoot } from '../libs/service-kit/src/testing/repository-root.js';
import { Shop } from './harness/shop.js';

const LOCAL = 'SHOP=http://127.0.0.1:3000';

describe('the page on one purchase', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await Shop.open();
  }, 180_000);
  afterAll(() => shop?.close(), 30_000);

  it('leads from a sign-in to a ticket', async () => {
    const page = readFileSync(join(repositoryRoot(), 'docs', 'first-purchase.md'), 'utf8');
    const steps = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, step = '']) => step);
    expect(steps[0]).toContain(LOCAL);
    // As the page says: a step that fails came too early.
    const program = steps.map((step, at) => {
      const body = step.replace(LOCAL, `SHOP=${shop.client.baseUrl}`).replace(/\$\{(\w+):\?\}/g, '$$$1');
      const vars = [...step.matchAll(/\$\{(\w+):\?\}/g)].map(([, name = '']) => `&& [ -n "$${name}" ]`);
      return `step${at}() {\n${body}}\nuntil step${at} ${vars.join(' ')}; do sleep 0.2; done`;
    });
    const child = spawn('sh', ['-c', program.join('\n')], {
      cwd: repositoryRoot(),
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], JWT_SECRET: shop.client.jwtSecret },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const tooLate = setTimeout(() => child.kill('SIGKILL'), 45_000);
    const [code] = (await once(child, 'close')) as [number | null];
    clearTimeout(tooLate);
    expect({ code, output }).toEqual({ code: 0, output: expect.stringMatching(/"status":"PAID"/) });
    expect(output.trim().split('\n').at(-1)).toMatch(/^"text":"/);
  }, 60_000);
});
