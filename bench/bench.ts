/**
 * `npm run bench -- broker [names…] [options]`: measures, prints a table and leaves the raw figures in
 * `bench/results`. What is measured and how: docs/benchmarks.md.
 */
import { benchBroker } from './broker/bench-broker.js';

const [suite, ...args] = process.argv.slice(2);
const suites: Record<string, (args: readonly string[]) => Promise<void>> = { broker: benchBroker };
const run = suites[suite ?? ''];
if (run === undefined) {
  process.stderr.write(`Which benchmark? npm run bench -- ${Object.keys(suites).join(' | ')} [--help]\n`);
  process.exit(1);
}
await run(args);
