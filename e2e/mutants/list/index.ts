import type { Mutant } from '../mutant.js';
import { BROKER_ANSWERS } from './broker-answers.js';
import { BROKER_DELIVERY } from './broker-delivery.js';
import { BROKER_STORAGE } from './broker-storage.js';
import { BROKER_TIMERS } from './broker-timers.js';
import { BROKER_TRACE } from './broker-trace.js';
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
  ...BROKER_STORAGE,
  ...BROKER_ANSWERS,
  ...BROKER_DELIVERY,
  ...BROKER_TIMERS,
  ...BROKER_TRACE,
];
