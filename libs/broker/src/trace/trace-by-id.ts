import type { TraceEvent } from '#libs/messaging/port';
import type { Block } from '../journal/block.js';
import type { Journal } from '../journal/journal.js';
import { ANY_TOPIC, hashOfId, hashOfIdAt } from '../topics/id-hash.js';
import { recordAt } from '../topics/record.js';
import type { Trace } from './trace.js';

/** What a question about the trace is answered from. */
export type TraceHost = { readonly journal: Journal; readonly trace: Trace };

/** Blocks of a megabyte that are read from files for one question. */
const MAX_READS = 256;
/** Records looked at in one go. */
const WINDOW = 1_000;

/**
 * Reads records for one question: those in memory, and of those in files as many as its share of reads allows. Ask for
 * the newest window first, and forwards within a window, as blocks are read.
 */
export class TracedRecords {
  private readsLeft = MAX_READS;

  constructor(private readonly host: TraceHost) {}

  /** The block with the record at `position`; undefined when retention dropped it or the share is used up. */
  async blockAt(position: number): Promise<Block | undefined> {
    const { journal } = this.host;
    const inMemory = journal.find(position);
    if (inMemory || position < journal.start || this.readsLeft === 0) return inMemory;
    this.readsLeft -= 1;
    // Who needs the message is told that it cannot be read; here there is one less to tell of.
    return journal.load(position).catch(() => undefined);
  }
}

/** Ranges that end at `end`, the last one first. Between two of them, other work of the event loop has its turn. */
export async function* windowsBack(start: number, end: number): AsyncGenerator<{ from: number; to: number }> {
  for (let to = end; to > start; to -= WINDOW) {
    yield { from: Math.max(start, to - WINDOW), to };
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The remembered steps of each of these messages, oldest first. */
export async function stepsOf(
  host: TraceHost,
  ids: ReadonlySet<string>,
  records: TracedRecords,
): Promise<Map<string, TraceEvent[]>> {
  const hashes = new Set([...ids].map((id) => hashOfId(id, ANY_TOPIC)));
  const idAt = new Map<number, string>();
  const positions = host.trace.recordPositions();
  for await (const { from, to } of windowsBack(0, positions.length)) {
    for (let i = from; i < to; i++) {
      const position = positions[i]!;
      if (position === positions[i - 1]) continue;
      const block = host.journal.find(position) ?? (await records.blockAt(position));
      if (!block || !hashes.has(hashOfIdAt(block, position, ANY_TOPIC))) continue;
      const id = recordAt.id(block, position);
      if (ids.has(id)) idAt.set(position, id);
    }
  }
  return host.trace.of(ids, idAt);
}

/** The remembered steps of a message, oldest first. */
export async function traceById(host: TraceHost, id: string): Promise<TraceEvent[]> {
  const steps = await stepsOf(host, new Set([id]), new TracedRecords(host));
  return steps.get(id) ?? [];
}
