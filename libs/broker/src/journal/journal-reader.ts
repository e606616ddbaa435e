import { MessagingError } from '#libs/messaging/port';
import { type Block, blockOf } from './block.js';
import { BLOCK_BYTES, type BlockCache, holdsRecord } from './block-cache.js';
import { ScatteredReads } from './scattered-reads.js';
import type { Segments } from './segments.js';

/** Reads blocks back from the segment files; whoever asks for the same place meanwhile shares the read. */
export class JournalReader {
  private readonly scattered: ScatteredReads;
  private readonly loading = new Map<number, Promise<Block>>();

  constructor(
    private readonly segments: Segments,
    private readonly cache: BlockCache,
  ) {
    this.scattered = new ScatteredReads(segments);
  }

  /** The block that holds the record at `position`; `written`: how far the files are written. */
  load(position: number, written: number): Promise<Block> {
    const found = this.cache.find(position);
    if (found) return Promise.resolve(found);
    let loading = this.loading.get(position);
    if (!loading) {
      loading = this.readBlock(position, written).finally(() => this.loading.delete(position));
      this.loading.set(position, loading);
    }
    return loading;
  }

  /** Blocks that hold the records at `positions`: those in memory, lent, and for the others one each. */
  async loadScattered(positions: readonly number[]): Promise<Map<number, Block>> {
    const found = new Map<number, Block>();
    const missing: number[] = [];
    for (const position of positions) {
      const block = this.cache.find(position);
      if (block) {
        block.lent = true;
        found.set(position, block);
      } else missing.push(position);
    }
    if (missing.length > 0)
      for (const [position, block] of await this.scattered.read(missing)) found.set(position, block);
    return found;
  }

  private async readBlock(position: number, written: number): Promise<Block> {
    let size = BLOCK_BYTES;
    for (;;) {
      const bytes = size === BLOCK_BYTES ? this.cache.blockMemory() : Buffer.allocUnsafeSlow(size);
      // Bytes behind `written` may be half there: they are in the tail, and must not be remembered from here.
      const read = await this.segments.read(position, bytes);
      const block = blockOf(bytes, position, Math.min(position + read, written));
      if (holdsRecord(block, position)) {
        this.cache.addCold(block);
        return block;
      }
      const length = read >= 4 ? block.view.getUint32(0, true) : 0;
      if (length <= size) throw new MessagingError('LOG_CORRUPT', `no whole record at position ${position}`);
      size = length;
    }
  }
}
