import { expect, it } from '@jest/globals';
import type { Block } from '../journal/block.js';
import { DEFAULT_PRIORITY } from '../topics/record.js';
import { maxRecordBytes, writeRecord } from '../topics/write-record.js';
import { SharedReads } from './shared-reads.js';

const fields = {
  topicId: 1,
  partition: 0,
  offset: 0,
  id: 'a',
  tag: 't',
  key: undefined,
  timerId: undefined,
  headers: {},
  body: Buffer.from('text'),
  bornAtMs: 0,
  storedAtMs: 0,
  deliverAtMs: 0,
  ttlMs: 0,
  priority: DEFAULT_PRIORITY,
};

/** A block with one record, which begins at position `start`. */
function blockAt(start: number, bytesMore = 0): Block {
  const bytes = Buffer.alloc(maxRecordBytes(fields) + bytesMore);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  writeRecord({ bytes, view, at: 0, start }, fields);
  return { start, end: start + bytes.byteLength, bytes, view, users: 0, lent: false };
}

it('decodes a message once for all groups that read it', () => {
  const reads = new SharedReads();
  const block = blockAt(100);
  const first = reads.read(block, 100, 'orders');
  expect(first).toMatchObject({ id: 'a', topic: 'orders', body: Buffer.from('text') });
  expect(reads.read(block, 100, 'orders')).toBe(first);
});

it('keeps what was decoded of a few blocks only, and nothing of a large one', () => {
  const reads = new SharedReads();
  const block = blockAt(0);
  const first = reads.read(block, 0, 'orders');
  for (let other = 1; other <= 4; other++) reads.read(blockAt(other * 1_000), other * 1_000, 'orders');
  expect(reads.read(block, 0, 'orders')).not.toBe(first);
  const large = blockAt(0, 1024 * 1024);
  expect(reads.read(large, 0, 'orders')).not.toBe(reads.read(large, 0, 'orders'));
});

it('takes the record at one place of two blocks for two', () => {
  const reads = new SharedReads();
  expect(reads.read(blockAt(0), 0, 'orders')).not.toBe(reads.read(blockAt(0), 0, 'orders'));
});
