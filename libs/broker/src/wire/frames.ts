/**
 * The wire: frames in both directions over one TCP or TLS connection.
 *
 * ```
 *  0        4      5         9
 *  ┌────────┬──────┬─────────┬──────────────┐
 *  │ length │ type │ request │ payload …    │
 *  │ u32    │ u8   │ u32     │              │
 *  └────────┴──────┴─────────┴──────────────┘
 * ```
 *
 * `length` counts everything behind it. `request` pairs an answer with its question, any number of
 * which may be under way; 0 marks what is sent unasked. The first frame of a client is `hello`; until
 * it was accepted, frames are limited to 4 KiB. Payloads of the hot frames (append, receipts,
 * deliveries, settle, settled) are binary, see `sends.ts`, `deliveries.ts` and `settlements.ts`; the others are JSON.
 */
import { MessagingError } from '#libs/messaging/port';
import { ByteReader, ByteWriter } from './bytes.js';

/** Raised with every incompatible change of a frame. Both sides must name the same. */
export const PROTOCOL_VERSION = 5;
/** Largest frame, and so the largest atomic send. */
export const MAX_FRAME_BYTES = 8 * 1024 * 1024;
/** Largest frame of a client that has not said who it is. */
export const MAX_HELLO_BYTES = 4 * 1024;
const LENGTH_BYTES = 4;
const HEADER_BYTES = 5;

export const FrameType = {
  // Client to broker.
  hello: 1,
  append: 2,
  prepare: 3,
  decide: 4,
  registerProducer: 5,
  recall: 6,
  attach: 7,
  pause: 8,
  detach: 9,
  pull: 10,
  settle: 11,
  admin: 12,
  openProducer: 13,
  reschedule: 20,
  // Broker to client, answers.
  welcome: 32,
  receipts: 33,
  settled: 34,
  pulled: 35,
  result: 36,
  failure: 37,
  // Broker to client, unasked.
  deliveries: 48,
  leaseLost: 49,
  check: 50,
  goodbye: 51,
  // Both.
  ping: 64,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export type FrameHandler = (type: number, request: number, payload: ByteReader) => void;

/** Collects frames and gives them out as one buffer, so that a tick's frames leave in one write. */
export class FrameWriter extends ByteWriter {
  private frameAt = 0;

  begin(type: FrameType, request: number): void {
    this.frameAt = this.position;
    this.u32(0);
    this.u8(type);
    this.u32(request);
  }

  /** @throws {MessagingError} `MESSAGE_TOO_LARGE`; the frame is then taken back, those before it stay. */
  end(): void {
    const length = this.position - this.frameAt - LENGTH_BYTES;
    if (length > MAX_FRAME_BYTES) {
      this.cancel();
      throw new MessagingError(
        'MESSAGE_TOO_LARGE',
        `one call takes ${length} bytes on the wire, the bound is ${MAX_FRAME_BYTES}`,
      );
    }
    this.patchU32(this.frameAt, length);
  }

  /** Takes back the frame that was begun. */
  cancel(): void {
    this.position = this.frameAt;
  }
}

/**
 * Cuts a byte stream into frames. Holds at most one incomplete frame; its parts are joined once, when
 * the last one is there, so that a large frame in small pieces does not cost quadratic time.
 */
export class FrameReader {
  maxFrameBytes = MAX_FRAME_BYTES;
  private parts: Buffer[] = [];
  private heldBytes = 0;
  /** Bytes that the held parts need to become a frame, or to tell its length. */
  private neededBytes = 0;

  constructor(private readonly onFrame: FrameHandler) {}

  /** @throws {MessagingError} `PROTOCOL_ERROR` when the stream is not made of acceptable frames. The reader is then of no further use. */
  push(chunk: Buffer): void {
    let rest = chunk;
    while (this.heldBytes > 0) {
      // Only as much as is needed, so that the other frames of the chunk are not copied with it.
      const missing = this.neededBytes - this.heldBytes;
      this.hold(rest.subarray(0, missing));
      rest = rest.subarray(missing);
      if (this.heldBytes < this.neededBytes) return;
      const joined = Buffer.concat(this.parts, this.heldBytes);
      this.parts = [];
      this.heldBytes = 0;
      this.hold(this.frames(joined));
    }
    this.hold(this.frames(rest));
  }

  private hold(part: Buffer): void {
    if (part.length === 0) return;
    this.parts.push(part);
    this.heldBytes += part.length;
  }

  /** Handles the whole frames of `buffer`; the answer is what remains. */
  private frames(buffer: Buffer): Buffer {
    let position = 0;
    while (buffer.length - position >= LENGTH_BYTES) {
      const length = buffer.readUInt32LE(position);
      if (length < HEADER_BYTES || length > this.maxFrameBytes) {
        throw new MessagingError('PROTOCOL_ERROR', `a frame of ${length} bytes is not acceptable`);
      }
      const start = position + LENGTH_BYTES;
      if (buffer.length - start < length) {
        this.neededBytes = LENGTH_BYTES + length;
        return buffer.subarray(position);
      }
      position = start + length;
      const type = buffer[start] as number;
      const request = buffer.readUInt32LE(start + 1);
      this.onFrame(type, request, new ByteReader(buffer, start + HEADER_BYTES, position));
    }
    this.neededBytes = LENGTH_BYTES;
    return buffer.subarray(position);
  }
}
