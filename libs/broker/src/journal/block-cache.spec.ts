import { describe, expect, it } from '@jest/globals';
import { newBlock } from './block.js';
import { BlockCache, WRITE_BLOCK_BYTES } from './block-cache.js';

/** A full block of zeros at the `number`-th place. */
function fullBlock(number: number) {
  const block = newBlock(number * WRITE_BLOCK_BYTES, WRITE_BLOCK_BYTES);
  block.end = block.start + WRITE_BLOCK_BYTES;
  return block;
}

describe('BlockCache', () => {
  it('uses memory again only when it is written, out of the cache and was never given to anybody', () => {
    const cache = new BlockCache(WRITE_BLOCK_BYTES, 0);
    const blocks = [0, 1, 2].map(fullBlock);
    for (const block of blocks) cache.addTail(block);
    expect(cache.find(blocks[0]!.start)).toBe(blocks[0]);
    cache.trim(blocks[1]!.start);
    expect(cache.takeSpare()).toBeUndefined();
    cache.trim(blocks[2]!.end);
    expect(cache.takeSpare()).toBe(blocks[1]!.bytes);
    expect(cache.takeSpare()).toBeUndefined();
    expect(cache.find(blocks[2]!.start)).toBe(blocks[2]);
  });
});
