import type { ViolationKind } from '../violation.js';
import * as delivery from './delivery-faults.js';
import type { Plant } from './plant.js';
import * as promise from './promise-faults.js';
import * as storage from './storage-faults.js';

/** At least one fault of every kind that `VIOLATIONS` lists. */
export const PLANTED: readonly { name: string; kind: ViolationKind; plant: Plant }[] = [
  { name: 'an acknowledged message that is not in the log', kind: 'lost', plant: storage.lostFromLog },
  { name: 'a stored message that one group never got', kind: 'lost', plant: delivery.lostInGroup },
  { name: 'a message that nobody finished', kind: 'lost', plant: delivery.lostInFlight },
  { name: 'a committed transaction that is not there', kind: 'lost', plant: promise.committedButLost },
  { name: 'a message at two offsets', kind: 'stored-twice', plant: storage.storedTwice },
  { name: 'a message that was never sent', kind: 'phantom', plant: storage.neverSent },
  { name: 'a refused message in the log', kind: 'phantom', plant: storage.refusedButStored },
  { name: 'a rolled back transaction in the log', kind: 'phantom', plant: promise.rolledBackButStored },
  { name: 'a changed body', kind: 'phantom', plant: delivery.altered },
  {
    name: 'an acked message that is acked again',
    kind: 'settled-twice',
    plant: delivery.settledTwice('ack'),
  },
  { name: 'an acked message that is retried', kind: 'settled-twice', plant: delivery.settledTwice('retry') },
  { name: 'a message that overtakes its key', kind: 'reordered', plant: delivery.overtaken },
  { name: 'a key that goes back behind what is settled', kind: 'reordered', plant: delivery.wentBack },
  { name: 'a later send at an earlier offset', kind: 'non-monotonic', plant: storage.nonMonotonic },
  { name: 'a batch stored back to front', kind: 'non-monotonic', plant: storage.batchReversed },
  { name: 'a receipt for another place', kind: 'inconsistent-offsets', plant: storage.wrongReceipt },
  { name: 'a delivery from another place', kind: 'inconsistent-offsets', plant: delivery.wrongPlace },
  { name: 'a gap in the log', kind: 'inconsistent-offsets', plant: storage.gap },
  { name: 'half a batch', kind: 'torn-batch', plant: storage.torn('send') },
  { name: 'half a transaction', kind: 'torn-transaction', plant: storage.torn('prepare') },
  { name: 'a refused decision', kind: 'transaction-refused', plant: promise.decisionRefused },
  { name: 'a timer stored early', kind: 'timer-early', plant: promise.early('stored') },
  { name: 'a timer delivered early', kind: 'timer-early', plant: promise.early('delivered') },
  { name: 'a lost timer', kind: 'timer-lost', plant: promise.timerLost },
  { name: 'a recalled timer that fires', kind: 'timer-recalled', plant: promise.recalledButFired },
  { name: 'a dead letter that is gone', kind: 'dead-letter', plant: delivery.deadLetterGone },
  { name: 'a dead letter that is there twice', kind: 'dead-letter', plant: delivery.deadLetterTwice },
  { name: 'a dead letter that nobody asked for', kind: 'dead-letter', plant: delivery.deadLetterUnasked },
  { name: 'what was never drained', kind: 'not-drained', plant: delivery.leftover },
];
