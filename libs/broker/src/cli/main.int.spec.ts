import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';

it('the broker’s command line ends in silence when its reader goes away, as `head` does', async () => {
  const args = ['--conditions=source', '--import', '@swc-node/register/esm-register'];
  const child = spawn(process.execPath, [...args, join(import.meta.dirname, 'main.ts'), 'help'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  expect(await once(child, 'close')).toEqual([0, null]);
  expect(errors).toBe('');
}, 30_000);
