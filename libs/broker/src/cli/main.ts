#!/usr/bin/env node
/** `npm run broker -- COMMAND`: looks into a running broker and puts things right. See `usage.ts`. */
import { runCli } from './run-cli.js';

// `… | head` has what it wants and goes away: the rest has no reader.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

process.exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  out: (line) => process.stdout.write(`${line}\n`),
  error: (line) => process.stderr.write(`${line}\n`),
  input: process.stdin,
  interrupted: new Promise((resolve) => process.once('SIGINT', resolve)),
});
