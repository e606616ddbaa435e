import { type Facts, type MessageFact, placeOf, pushTo } from './facts.js';
import type { LogRow } from './history.js';
import type { Report } from './violation.js';

/** What is in the log against what was sent: lost, stored twice, phantom, out of order, inconsistent, torn. */
export function checkStorage(facts: Facts, log: readonly LogRow[], report: Report): void {
  checkPlaces(log, report);
  for (const [id, rows] of facts.log) {
    const places = rows.map((row) => placeOf(row.topic, row)).join(' and ');
    if (rows.length > 1) report('stored-twice', `${id} at ${places}`);
    const message = facts.messages.get(id);
    if (message === undefined) report('phantom', `${id} at ${places} was never sent`);
    else if (message.calls > 0 && message.refusals === message.calls)
      report('phantom', `${id} at ${places} was refused`);
  }
  for (const message of facts.messages.values()) checkMessage(message, facts, report);
  for (const { call, messages } of facts.batches) {
    const stored = messages.filter(({ id }) => facts.log.has(id)).length;
    if (stored > 0 && stored < messages.length)
      report('torn-batch', `${stored} of ${messages.length} messages of ${call}`);
  }
  checkSendOrder(facts, report);
}

/** Offsets of a partition are 0, 1, 2 … and name one message each. */
function checkPlaces(log: readonly LogRow[], report: Report): void {
  const partitions = new Map<string, LogRow[]>();
  for (const row of log) pushTo(partitions, `${row.topic}/${row.partition}`, row);
  for (const [name, rows] of partitions) {
    rows.sort((left, right) => left.offset - right.offset);
    rows.forEach(({ offset, id }, index) => {
      const previous = index === 0 ? -1 : (rows[index - 1]?.offset ?? -1);
      if (offset !== previous + 1)
        report('inconsistent-offsets', `${name}: ${id} at offset ${offset} follows offset ${previous}`);
    });
  }
}

function checkMessage(message: MessageFact, { log }: Facts, report: Report): void {
  const rows = log.get(message.id);
  const isTimer = message.dueAtMs !== undefined;
  // Timers and transactions have checks of their own for what is missing.
  if (message.ackedAt !== undefined && rows === undefined && !isTimer && message.transaction === undefined)
    report('lost', `${message.id} was acknowledged and is not in the log`);
  for (const receipt of message.receipts) {
    if (receipt.partition === -1 || rows === undefined) continue;
    if (!rows.some((row) => row.partition === receipt.partition && row.offset === receipt.offset))
      report('inconsistent-offsets', `${message.id}: a receipt names ${placeOf(message.topic, receipt)}`);
  }
}

type Sent = { id: string; invokedAt: number; ackedAt: number; order: number; offset: number };

/**
 * Real-time order: what was asked for after another message was acknowledged lies behind it. Looked at
 * from the end of a partition, no message may have been asked for later than the earliest acknowledgement
 * of all that lie behind it.
 */
function checkSendOrder({ messages, batches }: Facts, report: Report): void {
  const partitions = new Map<string, Sent[]>();
  let order = 0;
  for (const { id, topic, invokedAt, ackedAt = Infinity, receipts } of messages.values()) {
    const [receipt] = receipts;
    if (receipt === undefined || receipt.partition === -1) continue;
    const sent = { id, invokedAt, ackedAt, order: order++, offset: receipt.offset };
    pushTo(partitions, `${topic}/${receipt.partition}`, sent);
  }
  for (const sent of partitions.values()) {
    sent.sort((left, right) => right.offset - left.offset);
    let earliest: Sent | undefined;
    for (const message of sent) {
      if (earliest !== undefined && message.invokedAt > earliest.ackedAt)
        report('non-monotonic', `${message.id} was sent after ${earliest.id}, and stored before it`);
      if (earliest === undefined || message.ackedAt < earliest.ackedAt) earliest = message;
    }
  }
  for (const batch of batches) checkBatchOrder(batch.messages, messages, report);
}

/** Messages of one call lie in the order of the call, per key. */
function checkBatchOrder(
  batch: readonly { id: string; key: string; topic: string }[],
  messages: ReadonlyMap<string, MessageFact>,
  report: Report,
): void {
  const lastByKey = new Map<string, { id: string; offset: number }>();
  for (const { id, key, topic } of batch) {
    const offset = messages.get(id)?.receipts[0]?.offset;
    if (offset === undefined) continue;
    const last = lastByKey.get(`${topic} ${key}`);
    if (last !== undefined && offset < last.offset)
      report('non-monotonic', `${id} stands behind ${last.id} in its call, and before it in the log`);
    lastByKey.set(`${topic} ${key}`, { id, offset });
  }
}
