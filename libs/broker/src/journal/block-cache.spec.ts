import { describe, expect, it } from '@jest/globals';
import { type Block, blockOf, newBlock } from './block.js';
import { BLOCK_BYTES, BlockCache } from './block-cache.js';
import { recordAt } from '../topics/record.js';

/** A full block at the `number`-th place, of one record as long as itself. */
function fullBlock(number: number): Block {
  const block = newBlock(number * BLOCK_BYTES, BLOCK_BYTES);
  block.end = block.start + BLOCK_BYTES;
  block.view.setUint32(0, BLOCK_BYTES, true);
  return block;
}

/** One block that was written and one that was read back, both about to be displaced; `displace` does it. */
function displaceable(which: 'written' | 'read') {
  const cache = new BlockCache(BLOCK_BYTES, BLOCK_BYTES);
  const [block, next] = [fullBlock(0), fullBlock(1)];
  const { bytes } = block;
  if (which === 'written') {
    cache.addTail(block);
    cache.addTail(next);
    return { cache, block, bytes, displace: () => cache.trim(next.end) };
  }
  cache.addCold(block);
  return { cache, block, bytes, displace: () => cache.addCold(next) };
}

describe.each(['written', 'read'] as const)('the memory of a block that was %s', (which) => {
  it('is used again once the cache has no room for the block', () => {
    const { cache, bytes, displace } = displaceable(which);
    displace();
    expect(cache.blockMemory()).toBe(bytes);
    expect(cache.blockMemory()).not.toBe(bytes);
  });

  it('is not while the block has users, or was lent', () => {
    for (const need of [{ users: 1 }, { lent: true }]) {
      const { cache, block, bytes, displace } = displaceable(which);
      Object.assign(block, need);
      displace();
      expect(cache.blockMemory()).not.toBe(bytes);
      expect(block.bytes).toBe(bytes);
    }
  });

  it('can no longer be read through the block', () => {
    const { cache, block, displace } = displaceable(which);
    displace();
    const next = blockOf(cache.blockMemory(), 7 * BLOCK_BYTES);
    next.bytes.fill(0xff);
    expect(cache.find(block.start)).toBeUndefined();
    expect(() => recordAt.length(block, block.start)).toThrow(RangeError);
    expect(block.end).toBe(block.start);
  });
});

describe('BlockCache', () => {
  it('keeps what is not written yet', () => {
    const cache = new BlockCache(BLOCK_BYTES, 0);
    const [first, second] = [fullBlock(0), fullBlock(1)];
    cache.addTail(first);
    cache.addTail(second);
    cache.trim(first.end - 1);
    expect(cache.find(first.start)).toBe(first);
    cache.trim(first.end);
    expect(cache.find(first.start)).toBeUndefined();
    expect(cache.find(second.start)).toBe(second);
  });
});
