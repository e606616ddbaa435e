import type { Block } from '../journal/block.js';
import type { Out } from '../journal/journal.js';
import { recordAt } from './record.js';
import type { Partition, Topic } from './topics.js';
import { copyRecord } from './write-record.js';

/** Copies waiting records to the ends of partitions, within one entry: a partition knows its new end only when that is applied. */
export class PartitionAppender {
  private readonly ends = new Map<Partition, number>();

  constructor(
    private readonly out: Out,
    private readonly storedAtMs: number,
  ) {}

  /** Appends a copy, due now. `copiedTo` is its journal position. */
  append(
    topic: Topic,
    block: Block,
    position: number,
  ): { partition: number; offset: number; copiedTo: number } {
    const partition = topic.partitionFor(recordAt.key(block, position));
    const offset = this.ends.get(partition) ?? partition.end;
    this.ends.set(partition, offset + 1);
    const place = { partition: partition.number, offset };
    const copiedTo = copyRecord(this.out, block, position, {
      ...place,
      storedAtMs: this.storedAtMs,
      deliverAtMs: 0,
    });
    return { ...place, copiedTo };
  }
}
