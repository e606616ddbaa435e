// Runs a built program of this repository, installing and building first when needed:
//   node scripts/run.mjs e2e/verdict/verdict.js [arguments]
//   node scripts/run.mjs --only-prepare
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { prepare, root, runMain, withoutProxyOnLoopback } from './launcher/prepare.mjs';

await runMain(async () => {
  prepare();
  const [program, ...args] = process.argv.slice(2);
  if (program === '--only-prepare') return;
  const child = spawn(process.execPath, ['--enable-source-maps', join(root, 'dist', program), ...args], {
    env: withoutProxyOnLoopback(process.env),
    stdio: 'inherit',
  });
  // A terminal sends Ctrl-C to both: the program decides when it is over.
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.on(signal, () => signal === 'SIGTERM' && child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
});
