import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DEAD_LETTER_REASONS, ERROR_KINDS, MessagingError } from '#libs/messaging/port';
import type { OutgoingMessage, SendReceipt } from '#libs/messaging/port';
import { newBlock } from '../journal/block.js';
import type { Out } from '../journal/journal.js';
import type { RawDelivery, Settlement } from '../session.js';
import { readMessage } from '../topics/read-message.js';
import { maxRecordBytes, writeRecord } from '../topics/write-record.js';
import { ByteReader, ByteWriter } from './bytes.js';
import { inFrames, readDeliveries, writeDeliveries } from './deliveries.js';
import { fromJson, fromWireError, toJson, toWireError } from './json.js';
import { readMessages, readReceipts, writeMessages, writeReceipts } from './sends.js';
import { readSettled, readSettlements, writeSettled, writeSettlements } from './settlements.js';

const text = fc.oneof(fc.string(), fc.string({ unit: 'grapheme', maxLength: 300 }));
const time = fc.nat({ max: 4_102_444_800_000 });
const body = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const headers = fc
  .dictionary(
    text.filter((name) => name !== '__proto__'),
    text,
    { noNullPrototype: true },
  )
  .map((entries) => ({ ...entries }));

const outgoing = fc.record(
  {
    topic: text,
    tag: text,
    body,
    key: text,
    id: text,
    headers: headers.filter((entries) => Object.keys(entries).length > 0),
    deliverAtMs: time,
    timerId: text,
    ttlMs: time,
    priority: fc.nat(9),
  },
  { requiredKeys: ['topic', 'tag', 'body'], noNullPrototype: true },
);

const attempt = fc.record(
  { attempt: fc.nat(), atMs: time, consumer: text, error: text },
  { noNullPrototype: true },
);
const delivery: fc.Arbitrary<RawDelivery> = fc.record(
  {
    deliveryId: fc.maxSafeNat(),
    attempt: fc.nat(),
    history: fc.array(attempt, { maxLength: 3 }),
    message: fc.record(
      {
        id: text,
        topic: text,
        tag: text,
        key: fc.option(text, { nil: undefined }),
        partition: fc.integer({ min: -1, max: 1_000 }),
        offset: fc.maxSafeNat(),
        headers,
        body,
        bornAtMs: time,
        storedAtMs: time,
        priority: fc.nat(9),
      },
      { noNullPrototype: true },
    ),
  },
  { noNullPrototype: true },
);

const kind = fc.option(fc.constantFrom(...ERROR_KINDS), { nil: undefined });
const settlement: fc.Arbitrary<Settlement> = fc.oneof(
  fc.record({ deliveryId: fc.maxSafeNat(), verdict: fc.constant('ack' as const) }, { noNullPrototype: true }),
  fc.record(
    { deliveryId: fc.maxSafeNat(), verdict: fc.constant('retry' as const), delayMs: time, error: text, kind },
    { noNullPrototype: true },
  ),
  fc.record(
    {
      deliveryId: fc.maxSafeNat(),
      verdict: fc.constant('dead-letter' as const),
      reason: fc.constantFrom(...DEAD_LETTER_REASONS),
      kind,
      error: text,
    },
    { noNullPrototype: true },
  ),
  fc.record(
    { deliveryId: fc.maxSafeNat(), verdict: fc.constant('extend' as const), leaseMs: time },
    { noNullPrototype: true },
  ),
  fc.record(
    { deliveryId: fc.maxSafeNat(), verdict: fc.constant('release' as const) },
    { noNullPrototype: true },
  ),
);

/** The delivery of a message as it lies in the journal. */
const storedDelivery: fc.Arbitrary<RawDelivery> = delivery.map(({ message, ...delivery }) => {
  const block = newBlock(0, 64 + maxRecordBytes(message));
  const out: Out = { bytes: block.bytes, view: block.view, at: 64, start: 0 };
  const fields = { ...message, topicId: 1, deliverAtMs: 0, ttlMs: 0 };
  const position = writeRecord(out, { ...fields, partition: message.partition & 0xff });
  block.end = out.at;
  const { topic } = message;
  const asStored = { block, position, topic };
  return { ...delivery, message: readMessage(block, position, topic), asStored };
});

/** Without where its record lies, which is another place on each side. */
const plain = ({ deliveryId, attempt, history, message }: RawDelivery) => ({
  deliveryId,
  attempt,
  history,
  message,
});

function carried<Value>(write: (writer: ByteWriter) => void, read: (reader: ByteReader) => Value): Value {
  const writer = new ByteWriter(16);
  write(writer);
  const reader = new ByteReader(writer.take());
  const value = read(reader);
  reader.finish();
  return value;
}

describe('the codec of the hot frames', () => {
  it('carries messages with every combination of parts', () => {
    fc.assert(
      fc.property(fc.array(outgoing), (messages) => {
        const got = carried(
          (writer) => writeMessages(writer, messages),
          (reader) => readMessages(reader),
        );
        // `toEqual` takes a part that is absent and one that is undefined for the same, as the port does.
        expect(got).toEqual(messages);
      }),
    );
  });

  it('carries deliveries', () => {
    fc.assert(
      fc.property(fc.array(delivery), (deliveries) => {
        const got = carried(
          (writer) => writeDeliveries(writer, deliveries),
          (reader) => readDeliveries(reader),
        );
        expect(got).toEqual(deliveries);
      }),
    );
  });

  it('carries messages as their records, mixed with others', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(delivery, storedDelivery)), (deliveries) => {
        const got = carried(
          (writer) => writeDeliveries(writer, deliveries),
          (reader) => readDeliveries(reader),
        );
        expect(got.map(plain)).toEqual(deliveries.map(plain));
        expect(got.map(({ asStored }) => asStored !== undefined)).toEqual(
          deliveries.map(({ asStored }) => asStored !== undefined),
        );
      }),
    );
  });

  it('carries verdicts and their answers', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(settlement, fc.boolean())), (pairs) => {
        const settlements = pairs.map(([each]) => each);
        const recorded = pairs.map(([, done]) => done);
        expect(
          carried(
            (writer) => writeSettlements(writer, settlements),
            (reader) => readSettlements(reader),
          ),
        ).toEqual(settlements);
        expect(
          carried(
            (writer) => writeSettled(writer, recorded),
            (reader) => readSettled(reader, recorded.length),
          ),
        ).toEqual(recorded);
      }),
    );
  });

  it('carries receipts, those too that name another message than the one that was sent', () => {
    const sent: OutgoingMessage[] = ['a', 'b'].map((id) => ({
      topic: 't',
      tag: 'x',
      id,
      body: Buffer.alloc(0),
    }));
    const receipts: SendReceipt[] = [
      { status: 'SEND_OK', messageId: 'a', topic: 't', partition: 3, offset: 2 ** 40, duplicate: false },
      {
        status: 'FLUSH_TIMEOUT',
        messageId: 'another',
        topic: 'u',
        partition: -1,
        offset: -1,
        duplicate: true,
      },
    ];
    const got = carried(
      (writer) => writeReceipts(writer, sent, receipts),
      (reader) => readReceipts(reader, sent),
    );
    expect(got).toEqual(receipts);
  });

  it('answers any garbage with a value or a protocol error, and never reads past its end', () => {
    const readers = [
      readMessages,
      readDeliveries,
      readSettlements,
      (reader: ByteReader) => readReceipts(reader, []),
      (reader: ByteReader) => readSettled(reader, 3),
    ];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(...readers), (bytes, read) => {
        try {
          read(new ByteReader(Buffer.from(bytes)));
        } catch (error) {
          expect(error).toMatchObject({ code: 'PROTOCOL_ERROR' });
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it('answers any damage of one byte with a value or a protocol error', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(delivery, storedDelivery), { minLength: 1, maxLength: 5 }),
        fc.nat(),
        fc.nat(255),
        (deliveries, at, value) => {
          const writer = new ByteWriter();
          writeDeliveries(writer, deliveries);
          const bytes = writer.take();
          bytes[at % bytes.length] = value;
          try {
            for (const { message } of readDeliveries(new ByteReader(bytes))) expect(message).toBeDefined();
          } catch (error) {
            expect(error).toMatchObject({ code: 'PROTOCOL_ERROR' });
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('cuts deliveries into runs that fit, without losing or reordering one', () => {
    fc.assert(
      fc.property(
        fc.array(delivery, { minLength: 1 }),
        fc.integer({ min: 1, max: 600 }),
        (deliveries, maxBytes) => {
          const runs = [...inFrames(deliveries, maxBytes)];
          expect(runs.flat()).toEqual(deliveries);
          for (const run of runs) {
            const bytes = run.reduce((sum, { message }) => sum + message.body.byteLength, 0);
            expect(run.length === 1 || bytes <= maxBytes).toBe(true);
          }
        },
      ),
    );
    expect([...inFrames([])]).toEqual([[]]);
  });
});

describe('JSON on the wire', () => {
  it('carries binary values and undefined', () => {
    const value = { bytes: Buffer.from([0, 255, 7]), nested: [{ body: new Uint8Array([1]) }], plain: 'x' };
    expect(fromJson(toJson(value))).toEqual({
      bytes: Buffer.from([0, 255, 7]),
      nested: [{ body: Buffer.from([1]) }],
      plain: 'x',
    });
    expect(fromJson(toJson(undefined))).toBeUndefined();
  });

  it('carries whatever names an application gives, those that mark binary values included', () => {
    const headers = { $bytes: 'AAAA', $$bytes: 'x', other: '1' };
    const value = [{ headers, body: Buffer.from([1]) }, { headers: { $bytes: 'AAAA' } }];
    expect(fromJson(toJson(value))).toEqual(value);
  });

  it('carries the code and the kind of an error, and names one that is not ours', () => {
    const error = fromWireError(toWireError(fromWireError({ code: 'QUEUE_FULL', detail: 'at 10' })));
    expect(error).toMatchObject({ code: 'QUEUE_FULL', kind: 'transient', message: 'QUEUE_FULL: at 10' });
    expect(fromWireError(toWireError(new Error('boom')))).toMatchObject({ code: 'PROTOCOL_ERROR' });
    expect(fromWireError({ code: 'toString', detail: '' })).toMatchObject({ code: 'PROTOCOL_ERROR' });
  });

  it('names a full disk as clients of before know it, which take it for transient, and precisely to others', () => {
    const told = toWireError(new MessagingError('STORAGE_FULL', 'no room'));
    expect(told).toMatchObject({ code: 'BUFFER_FULL', detail: 'no room' });
    expect(fromWireError(told)).toMatchObject({ code: 'STORAGE_FULL', message: 'STORAGE_FULL: no room' });
    expect(fromWireError({ ...told, precise: 'OF_A_LATER_VERSION' })).toMatchObject({ code: 'BUFFER_FULL' });
  });
});
