import { type Block, takeMemory } from './block.js';

/**
 * Entries are put together in blocks of this size, and read back from files in such blocks. What is larger has
 * one of its own.
 */
export const BLOCK_BYTES = 1024 * 1024;
/** Memory of blocks kept for the next ones. */
const MAX_SPARE = 8;

/**
 * What of the journal is in memory: the newest blocks as they were written, and a few read back from
 * files for consumers that are behind. Both are bounded in bytes.
 */
export class BlockCache {
  private readonly tail: Block[] = [];
  private tailBytes = 0;
  private readonly spare: Buffer[] = [];
  private readonly cold: Block[] = [];
  private coldBytes = 0;

  constructor(
    private readonly maxTailBytes: number,
    private readonly maxColdBytes: number,
  ) {}

  /** Adds the block that is written next; positions only grow. */
  addTail(block: Block): void {
    this.tail.push(block);
    this.tailBytes += block.bytes.byteLength;
  }

  /** Forgets the oldest blocks beyond the bound, as long as `writtenPosition` says that files have them. */
  trim(writtenPosition: number): void {
    while (
      this.tail.length > 1 &&
      this.tailBytes > this.maxTailBytes &&
      this.tail[0]!.end <= writtenPosition
    ) {
      const block = this.tail.shift()!;
      this.tailBytes -= block.bytes.byteLength;
      this.reclaim(block);
    }
  }

  /** Fresh memory for each block would wait for the collector by the hundred, and the kernel would have to clear it. */
  private reclaim(block: Block): void {
    if (block.lent || block.users > 0 || this.spare.length >= MAX_SPARE) return;
    if (block.bytes.byteLength === BLOCK_BYTES) this.spare.push(takeMemory(block));
  }

  /** `BLOCK_BYTES` of memory: of a block that is not needed any more, if there is one. */
  blockMemory(): Buffer {
    return this.spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
  }

  /** A block that holds the `u32` length at `position` and as many bytes as it says. Count among its `users` to read from it in a later turn of the event loop. */
  find(position: number): Block | undefined {
    return this.findInTail(position) ?? this.findCold(position);
  }

  private findInTail(position: number): Block | undefined {
    const { tail } = this;
    if (tail.length === 0 || position < tail[0]!.start) return undefined;
    let low = 0;
    let high = tail.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (tail[middle]!.start <= position) low = middle;
      else high = middle - 1;
    }
    const block = tail[low]!;
    return position < block.end ? block : undefined;
  }

  private findCold(position: number): Block | undefined {
    for (let i = this.cold.length - 1; i >= 0; i--) {
      const block = this.cold[i]!;
      if (position >= block.start && holdsRecord(block, position)) {
        if (i < this.cold.length - 1) {
          this.cold.splice(i, 1);
          this.cold.push(block);
        }
        return block;
      }
    }
    return undefined;
  }

  addCold(block: Block): void {
    this.cold.push(block);
    this.coldBytes += block.bytes.byteLength;
    while (this.cold.length > 1 && this.coldBytes > this.maxColdBytes) {
      const oldest = this.cold.shift()!;
      this.coldBytes -= oldest.bytes.byteLength;
      this.reclaim(oldest);
    }
  }
}

/** Whether all of the record at `position` is in the block. */
export function holdsRecord(block: Block, position: number): boolean {
  if (position + 4 > block.end) return false;
  return position + block.view.getUint32(position - block.start, true) <= block.end;
}
