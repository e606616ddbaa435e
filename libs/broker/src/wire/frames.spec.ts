import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ByteReader } from './bytes.js';
import { FrameReader, FrameType, FrameWriter, MAX_FRAME_BYTES } from './frames.js';
import type { FrameHandler } from './frames.js';

type Frame = { type: number; request: number; payload: string };

function encode(frames: readonly Frame[]): Buffer {
  const writer = new FrameWriter();
  for (const { type, request, payload } of frames) {
    writer.begin(type as FrameType, request);
    writer.string(payload);
    writer.end();
  }
  return writer.take();
}

/** What the properties below ask of a reader: ours meets them, those with planted bugs do not. */
type Reader = Pick<FrameReader, 'push'>;
type MakeReader = (onFrame: FrameHandler) => Reader;
const ours: MakeReader = (onFrame) => new FrameReader(onFrame);

function collect(into: Frame[], make: MakeReader = ours): Reader {
  return make((type, request, payload) => into.push({ type, request, payload: payload.string() }));
}

const frame = fc.record({
  type: fc.nat(255),
  request: fc.nat(0xffffffff),
  payload: fc.oneof(fc.string(), fc.string({ unit: 'grapheme', maxLength: 400 })),
});

const arriveHoweverCut = (make: MakeReader) =>
  fc.property(fc.array(frame), fc.array(fc.nat(64), { minLength: 1 }), (frames, cuts) => {
    const bytes = encode(frames);
    const got: Frame[] = [];
    const reader = collect(got, make);
    for (let at = 0, turn = 0; at < bytes.length; turn++) {
      const end = at + 1 + (cuts[turn % cuts.length] ?? 0);
      reader.push(bytes.subarray(at, end));
      at = end;
    }
    expect(got).toEqual(frames);
  });

const answerGarbageInOrder = (make: MakeReader) =>
  fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (chunks) => {
    const reader = collect([], make);
    try {
      for (const chunk of chunks) reader.push(Buffer.from(chunk));
    } catch (error) {
      expect(error).toMatchObject({ code: 'PROTOCOL_ERROR' });
    }
  });

describe('frames', () => {
  it('arrive whole and in order, however the stream is cut', () => {
    fc.assert(arriveHoweverCut(ours));
  });

  it('refuses a length that no frame can have, before it holds any of it', () => {
    for (const length of [0, 4, MAX_FRAME_BYTES + 1, 0xffffffff]) {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(length);
      expect(() => collect([]).push(bytes)).toThrow('PROTOCOL_ERROR');
    }
  });

  it('answers any garbage with frames or a protocol error, never with anything else', () => {
    fc.assert(answerGarbageInOrder(ours), { numRuns: 1_000 });
  });

  it('takes back a frame that is too large and keeps those before it', () => {
    const writer = new FrameWriter();
    writer.begin(FrameType.ping, 1);
    writer.string('kept');
    writer.end();
    writer.begin(FrameType.append, 2);
    writer.bytes(Buffer.alloc(MAX_FRAME_BYTES));
    expect(() => writer.end()).toThrow('MESSAGE_TOO_LARGE');
    const got: Frame[] = [];
    collect(got).push(writer.take());
    expect(got).toEqual([{ type: FrameType.ping, request: 1, payload: 'kept' }]);
  });
});

describe('the fuzzing of the frame reader', () => {
  it('finds a reader that forgets what is left of a chunk', () => {
    const forgetful: MakeReader = (onFrame) => ({ push: (chunk) => ours(onFrame).push(chunk) });
    expect(fc.check(arriveHoweverCut(forgetful)).failed).toBe(true);
  });

  it('finds a reader that believes any length', () => {
    const believing: MakeReader = (onFrame) => ({
      push(chunk) {
        for (let at = 0; chunk.length - at >= 4;) {
          const end = at + 4 + chunk.readUInt32LE(at);
          onFrame(chunk.readUInt8(at + 4), chunk.readUInt32LE(at + 5), new ByteReader(chunk, at + 9, end));
          at = end;
        }
      },
    });
    expect(fc.check(answerGarbageInOrder(believing), { numRuns: 1_000 }).failed).toBe(true);
  });
});
