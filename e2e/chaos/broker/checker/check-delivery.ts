import { type DeliveryFact, type Facts, type GroupFact, isFinal, placeOf, pushTo } from './facts.js';
import type { Report } from './violation.js';

/** What a group got against what is in the log: lost, phantom, settled twice, reordered, dead letters. */
export function checkDelivery(facts: Facts, group: GroupFact, report: Report): void {
  for (const id of facts.log.keys()) {
    const deliveries = group.deliveries.get(id);
    if (deliveries === undefined) report('lost', `${id} was never delivered to ${group.name}`);
    else if (!deliveries.some(isFinal) && !group.deadLetters.has(id))
      report('lost', `${id} was delivered to ${group.name}, and not again when that came to nothing`);
  }
  for (const [id, deliveries] of group.deliveries) {
    for (const delivery of deliveries) checkOrigin(facts, delivery, report);
    checkSettledOnce(group, id, deliveries, report);
  }
  checkDeadLetters(group, report);
  if (group.order === 'by-key') checkKeyOrder(group, report);
}

function checkOrigin({ log }: Facts, { message, altered, group }: DeliveryFact, report: Report): void {
  const place = placeOf(message.topic, message);
  if (altered === true) report('phantom', `${message.id} reached ${group} with another body`);
  const rows = log.get(message.id);
  if (rows === undefined) {
    report('phantom', `${message.id} reached ${group} from ${place} and is not in the log`);
  } else if (!rows.some((row) => placeOf(row.topic, row) === place)) {
    report('inconsistent-offsets', `${message.id} reached ${group} as ${place}`);
  }
}

/**
 * Under at-least-once a message may come again, but not once the group has been told that its verdict
 * was recorded. A late copy that was handed out before is known by its verdict: the broker refuses it.
 */
function checkSettledOnce(
  group: GroupFact,
  id: string,
  deliveries: readonly DeliveryFact[],
  report: Report,
): void {
  const [first, second] = deliveries
    .filter((delivery) => isFinal(delivery) && delivery.settledAt !== undefined)
    .sort((left, right) => settledAt(left) - settledAt(right));
  if (first === undefined) return;
  const again =
    second ?? deliveries.find((later) => later.at > settledAt(first) && later.settledAt !== undefined);
  if (again === undefined) return;
  const us = Math.round(again.at - settledAt(first));
  report(
    'settled-twice',
    `${id} of ${group.name}: ${first.delivery} (attempt ${first.attempt}) settled it, ${again.delivery} (attempt ${again.attempt}) came ${us} µs later and was settled too`,
  );
}

const settledAt = ({ settledAt: at }: DeliveryFact): number => at ?? Infinity;

/** Deliveries that came after the group was done with the message: late copies, each in vain. */
export function countStale(deliveries: readonly DeliveryFact[]): number {
  const done = Math.min(...deliveries.filter(isFinal).map(settledAt));
  return deliveries.filter(({ at }) => at > done).length;
}

function checkDeadLetters({ name, deliveries, deadLetters }: GroupFact, report: Report): void {
  for (const [id, count] of deadLetters) {
    const tries = deliveries.get(id) ?? [];
    if (count > 1) report('dead-letter', `${id} is ${count} times among those of ${name}`);
    if (!tries.some(({ verdict }) => verdict === 'dead-letter'))
      report('dead-letter', `${id} is one of ${name}, and nobody asked for it`);
    if (tries.some(({ verdict, settledAt: at }) => verdict === 'ack' && at !== undefined))
      report('dead-letter', `${id} is one of ${name}, and was acked`);
  }
  for (const [id, tries] of deliveries) {
    if (deadLetters.has(id)) continue;
    if (tries.some(({ verdict, settledAt: at }) => verdict === 'dead-letter' && at !== undefined))
      report('dead-letter', `${id} was recorded as one of ${name}, and is not there`);
  }
}

/** A message of a key as its group saw it. */
type KeyStep = {
  id: string;
  offset: number;
  firstDeliveredAt: number;
  /** When somebody first said to be done with it. */
  firstDoneAt: number;
  /** The delivery that was settled for good, if that was confirmed: when it came, and when it was settled. */
  lastDeliveredAt: number;
  settledAt: number;
};

/**
 * One key at a time, in the order of its offsets: a message is first handed out after everything before it
 * was done with, and is not settled before something before it is handed out (in earnest) again.
 */
function checkKeyOrder(group: GroupFact, report: Report): void {
  const keys = new Map<string, KeyStep[]>();
  for (const deliveries of group.deliveries.values()) {
    const [first] = deliveries;
    if (first === undefined) continue;
    const { topic, partition, key } = first.message;
    pushTo(keys, `${topic}/${partition} ${key}`, stepOf(first, deliveries));
  }
  for (const [key, steps] of keys) checkSteps(group, key, steps, report);
}

function stepOf(first: DeliveryFact, deliveries: readonly DeliveryFact[]): KeyStep {
  const settled = deliveries.find((delivery) => isFinal(delivery) && delivery.settledAt !== undefined);
  return {
    id: first.message.id,
    offset: first.message.offset,
    firstDeliveredAt: first.at,
    firstDoneAt: Math.min(...deliveries.filter(isFinal).map(({ verdictAt }) => verdictAt)),
    lastDeliveredAt: settled?.at ?? -Infinity,
    settledAt: settled?.settledAt ?? Infinity,
  };
}

function checkSteps(group: GroupFact, key: string, steps: KeyStep[], report: Report): void {
  steps.sort((left, right) => left.offset - right.offset);
  let slowest: KeyStep | undefined;
  let latest: KeyStep | undefined;
  for (const step of steps) {
    if (slowest !== undefined && step.firstDeliveredAt < slowest.firstDoneAt) {
      const what = `${step.id} (offset ${step.offset}) before ${slowest.id} (offset ${slowest.offset}) was done with`;
      report('reordered', `${group.name} got ${what}; key ${key}`);
    }
    if (latest !== undefined && step.settledAt < latest.lastDeliveredAt) {
      const what = `${latest.id} (offset ${latest.offset}) after ${step.id} (offset ${step.offset}) was settled`;
      report('reordered', `${group.name} got ${what}; key ${key}`);
    }
    if (slowest === undefined || step.firstDoneAt > slowest.firstDoneAt) slowest = step;
    if (latest === undefined || step.lastDeliveredAt > latest.lastDeliveredAt) latest = step;
  }
}
