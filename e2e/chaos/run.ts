/**
 * `npm run chaos -- [--shop] --minutes N --seed S …`: strikes the broker, or the whole shop, at random moments
 * and proves that every promise was kept. Exit 1 when one was not.
 */
import { Refusal } from '../verdict/shop-access.js';
import { brokerChaos } from './broker/broker-chaos.js';
import { crashMatrix } from './shop/matrix/matrix.js';
import { shopChaos } from './shop/shop-chaos.js';

try {
  const args = process.argv.slice(2);
  const chaos = args.includes('--shop') ? shopChaos : args.includes('--matrix') ? crashMatrix : brokerChaos;
  process.exitCode = (await chaos(args)) ? 0 : 1;
} catch (error) {
  const text = error instanceof Refusal ? error.message : (error as Error).stack;
  process.stderr.write(`chaos: ${text}\n`);
  process.exitCode = 1;
}
