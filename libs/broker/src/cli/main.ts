#!/usr/bin/env node
/** `npm run broker -- COMMAND`: looks into a running broker and puts things right. See `usage.ts`. */
import { runCli } from './run-cli.js';

process.exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  out: (line) => process.stdout.write(`${line}\n`),
  error: (line) => process.stderr.write(`${line}\n`),
  input: process.stdin,
  interrupted: new Promise((resolve) => process.once('SIGINT', resolve)),
});
