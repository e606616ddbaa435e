import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { newBlock } from '../journal/block.js';
import { maxRecordBytes, writeRecord } from '../topics/record.js';
import { Trace, stepNumber } from './trace.js';

const id = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .filter((text) => !text.includes('\0'));

/** A block that ends with the record of a message, as short as it can be. */
function recordOf(messageId: string, tag = '') {
  const fields = {
    id: messageId,
    tag,
    key: undefined,
    headers: {},
    body: new Uint8Array(0),
    topicId: 1,
    partition: 0,
    offset: 0,
    bornAtMs: 1,
    storedAtMs: 1,
    deliverAtMs: 0,
    ttlMs: 0,
    priority: 4,
  };
  const large = newBlock(0, maxRecordBytes(fields));
  const out = { bytes: large.bytes, view: large.view, at: 0, start: 0 };
  writeRecord(out, fields);
  const block = newBlock(0, out.at, Buffer.from(new Uint8Array(large.bytes.subarray(0, out.at)).buffer));
  block.end = out.at;
  return block;
}

describe('the trace', () => {
  it('finds a step by the id of its message, whether it was noted by the record or by the id', () => {
    fc.assert(
      fc.property(id, id, (one, other) => {
        fc.pre(one !== other);
        const trace = new Trace(10);
        trace.addRecord(recordOf(one), 0, stepNumber('stored'), 1);
        trace.add(one, 'retried', 2, 'g', 'failed');
        trace.addRecord(recordOf(other), 0, stepNumber('stored'), 3);
        trace.addRecord(recordOf(one, 'tag'), 0, stepNumber('acked'), 4, 'g');
        expect(trace.of(one)).toEqual([
          { step: 'stored', atMs: 1 },
          { step: 'retried', atMs: 2, group: 'g', detail: 'failed' },
          { step: 'acked', atMs: 4, group: 'g' },
        ]);
        expect(trace.of(other)).toEqual([{ step: 'stored', atMs: 3 }]);
      }),
    );
  });

  it('takes a message from an earlier step, or from its record when that step is forgotten', () => {
    const trace = new Trace(3);
    const place = trace.addRecord(recordOf('a'), 0, stepNumber('delivered'), 1, 'g');
    trace.addNext(place, recordOf('not looked at'), 0, stepNumber('acked'), 2, 'g');
    expect(trace.of('a').map(({ step }) => step)).toEqual(['delivered', 'acked']);
    for (const atMs of [3, 4]) trace.add('b', 'stored', atMs);
    trace.addNext(place, recordOf('a'), 0, stepNumber('acked'), 5, 'g');
    expect(trace.of('a')).toEqual([{ step: 'acked', atMs: 5, group: 'g' }]);
  });

  it('tells a hundred thousand ids apart that differ in a counter', () => {
    const trace = new Trace(100_000);
    for (let i = 0; i < 100_000; i++) trace.add(`h7Zk3n-${i.toString(36)}`, 'stored', i);
    for (let i = 0; i < 100_000; i += 9_973) {
      expect(trace.of(`h7Zk3n-${i.toString(36)}`)).toEqual([{ step: 'stored', atMs: i }]);
    }
  });

  it('remembers the newest steps, and none when it is off', () => {
    const trace = new Trace(2);
    for (const [atMs, text] of ['a', 'b', 'a'].entries()) trace.add(text, 'stored', atMs);
    expect(trace.of('a')).toEqual([{ step: 'stored', atMs: 2 }]);
    expect(trace.of('b')).toHaveLength(1);
    const off = new Trace(0);
    off.addRecord(recordOf('a'), 0, stepNumber('stored'), 1);
    expect(off.of('a')).toEqual([]);
  });
});
