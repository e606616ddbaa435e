import type { Mutant } from '../mutant.js';
import { EDGE } from './edge.js';
import { MESSAGING } from './messaging.js';
import { MONEY } from './money.js';
import { OPERATING } from './operating.js';
import { ORDERS } from './orders.js';
import { TELLING } from './telling.js';
import { TICKETS } from './tickets.js';
import { VERDICTS } from './verdict.js';

/** Every fault that is planted, by guarantee. */
export const MUTANTS: readonly Mutant[] = [
  ...TICKETS,
  ...ORDERS,
  ...MONEY,
  ...MESSAGING,
  ...EDGE,
  ...TELLING,
  ...VERDICTS,
  ...OPERATING,
];
