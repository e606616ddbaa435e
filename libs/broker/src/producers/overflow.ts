import type { OutgoingMessage } from '#libs/messaging/port';
import type { CursorGroup } from '../positions/cursor.js';
import type { BrokerHost } from '../host.js';
import type { Block } from '../journal/block.js';
import type { Out } from '../journal/journal.js';
import { DEFAULT_PRIORITY, NOWHERE } from '../topics/record.js';
import { writeRecord } from '../topics/write-record.js';
import type { Topic } from '../topics/topics.js';
import { Actor } from '../trace/actors.js';

const QUEUE_FULL = 'the topic was full';
/** What a dead letter takes beside its message: reason, group and origin. */
export const MAX_OVERFLOW_BYTES = 2_048;

type OverflowStores = {
  readonly records: { applyOne(block: Block, position: number, idHash: number | undefined): void };
};

/**
 * Writes a message whose topic is full as a dead letter of each of its groups. Returns the position of the
 * first one, which alone is found by the message's id (`idHash`) when it is sent again.
 */
export function writeOverflow(
  host: BrokerHost,
  stores: OverflowStores,
  out: Out,
  message: OutgoingMessage & { id: string },
  idHash: number | undefined,
  topic: Topic,
  groups: readonly CursorGroup[],
): number {
  const now = host.now();
  const origin = { topic: topic.name, ...NOWHERE, storedAtMs: now };
  let first = 0;
  for (const { name: group } of groups) {
    const letters = host.internalTopic('dead-letter', group);
    const deadLetter = { group, reason: 'queue-full', error: QUEUE_FULL, atMs: now } as const;
    const position = writeRecord(out, {
      topicId: letters.id,
      partition: 0,
      offset: letters.partitions[0]!.end,
      id: message.id,
      tag: message.tag,
      key: message.key,
      headers: message.headers ?? {},
      body: message.body,
      bornAtMs: now,
      storedAtMs: now,
      deliverAtMs: 0,
      ttlMs: 0,
      priority: message.priority ?? DEFAULT_PRIORITY,
      provenance: { origin, attempt: 0, history: [], deadLetter },
    });
    const block = host.journal.current;
    block.end = out.start + out.at;
    stores.records.applyOne(block, position, first > 0 ? undefined : idHash);
    first ||= position;
    host.trace.add(message.id, 'dead-lettered', now, new Actor(group), `queue-full: ${QUEUE_FULL}`);
  }
  return first;
}
