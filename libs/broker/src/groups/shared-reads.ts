import type { Block } from '../journal/block.js';
import { type DecodedRecord, readRecord } from '../topics/record.js';

/** Blocks whose decoded messages are kept: groups that keep up with the log are within this distance of each other. */
const MAX_BLOCKS = 4;
/** Decoding a few large messages again costs less than keeping their blocks. */
const MAX_BLOCK_BYTES = 1024 * 1024;

type Decoded = { block: Block; records: Map<number, DecodedRecord> };

/**
 * Messages decoded for one group, for the other groups that read them soon after: with ten groups nine
 * of ten need neither be decoded nor be collected. Like their bodies, they are shared by all who get them.
 */
export class SharedReads {
  private readonly kept: Decoded[] = [];

  read(block: Block, position: number, topic: string): DecodedRecord {
    if (block.bytes.byteLength > MAX_BLOCK_BYTES) return readRecord(block, position, topic);
    const records = this.recordsOf(block);
    let record = records.get(position);
    if (record === undefined) {
      record = readRecord(block, position, topic);
      records.set(position, record);
    }
    return record;
  }

  private recordsOf(block: Block): Map<number, DecodedRecord> {
    const { kept } = this;
    for (let i = kept.length - 1; i >= 0; i--) if (kept[i]!.block === block) return kept[i]!.records;
    const records = new Map<number, DecodedRecord>();
    kept.push({ block, records });
    if (kept.length > MAX_BLOCKS) kept.shift();
    return records;
  }
}
