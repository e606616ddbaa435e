/**
 * `npm run chaos -- [--shop] --minutes N --seed S …`: strikes the broker, or the whole shop, at random moments
 * and proves that every promise was kept. Exit 1 when one was not.
 */
import { Refusal } from '../verdict/shop-access.js';
import { brokerChaos } from './broker/broker-chaos.js';

try {
  process.exitCode = (await brokerChaos(process.argv.slice(2))) ? 0 : 1;
} catch (error) {
  const text = error instanceof Refusal ? error.message : (error as Error).stack;
  process.stderr.write(`chaos: ${text}\n`);
  process.exitCode = 1;
}
