/**
 * `npm run flash-sale -- --buyers N --tickets M [--rate R] [--pay P] [--seed S] [--json FILE]`: a flash sale
 * against the running shop, or one started for it, and the verdict on what it left behind.
 */
import { writeFileSync } from 'node:fs';
import { jwtSecret, Refusal, shopUrl } from '../verdict/shop-access.js';
import { readOptions } from './options.js';
import { succeeded, summaryOf } from './report.js';
import { runSale } from './run-sale.js';
import { runningShop } from './running-shop.js';

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  const url = shopUrl();
  const shop = await runningShop(url);
  // Ctrl-C: the shop started here must not stay behind.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void shop.stop().finally(() => process.exit(130)));
  }
  try {
    const report = await runSale({ url, secret: jwtSecret() }, options);
    process.stdout.write(summaryOf(report));
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
    process.exitCode = succeeded(report) ? 0 : 1;
  } finally {
    await shop.stop();
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(
    `flash-sale: ${error instanceof Refusal ? error.message : String((error as Error).stack)}\n`,
  );
  process.exitCode = 1;
}
