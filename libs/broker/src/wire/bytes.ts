import { MessagingError } from '#libs/messaging/port';

const INITIAL_BYTES = 64 * 1024;
/** A writer in steady use keeps at most this much. */
const MAX_KEPT_BYTES = 1024 * 1024;
/** With less of it left, a writer goes on in other memory. */
const MIN_REST_BYTES = INITIAL_BYTES / 4;
/** Strings up to this length are tried as ASCII in JavaScript, which beats a call into native code. */
const SHORT_STRING = 128;
/** In the place of a length byte: a u32 length and UTF-8 follow. */
const LONG = 255;

/**
 * Appends binary values to a buffer that grows.
 *
 * A string is one length byte and ASCII (`05 o r d e r`), or, when it is long or not ASCII, the
 * byte 255, a u32 length and UTF-8. Numbers are little-endian; positions and times are doubles,
 * which hold every safe integer.
 */
export class ByteWriter {
  protected position = 0;
  private start = 0;
  private buffer: Buffer;

  constructor(bytes = INITIAL_BYTES) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
  }

  u8(value: number): void {
    this.reserve(1);
    this.buffer[this.position++] = value;
  }

  u16(value: number): void {
    this.reserve(2);
    this.position = this.buffer.writeUInt16LE(value, this.position);
  }

  u32(value: number): void {
    this.reserve(4);
    this.position = this.buffer.writeUInt32LE(value, this.position);
  }

  i32(value: number): void {
    this.reserve(4);
    this.position = this.buffer.writeInt32LE(value, this.position);
  }

  f64(value: number): void {
    this.reserve(8);
    this.position = this.buffer.writeDoubleLE(value, this.position);
  }

  string(value: string): void {
    const length = value.length;
    this.reserve(length * 3 + 5);
    if (length < SHORT_STRING && this.ascii(value)) return;
    this.buffer[this.position] = LONG;
    const bytes = this.buffer.write(value, this.position + 5, 'utf8');
    this.buffer.writeUInt32LE(bytes, this.position + 1);
    this.position += 5 + bytes;
  }

  bytes(value: Uint8Array): void {
    this.u32(value.byteLength);
    this.reserve(value.byteLength);
    this.buffer.set(value, this.position);
    this.position += value.byteLength;
  }

  /** Without their length. */
  raw(memory: Uint8Array, from: number, length: number): void {
    this.reserve(length);
    this.buffer.set(new Uint8Array(memory.buffer, memory.byteOffset + from, length), this.position);
    this.position += length;
  }

  json(value: unknown): void {
    this.string(JSON.stringify(value));
  }

  /** Writes a u32 over what was put at `position` before. */
  patchU32(position: number, value: number): void {
    this.buffer.writeUInt32LE(value, position);
  }

  /** Bytes that were written and not taken. */
  get length(): number {
    return this.position - this.start;
  }

  /** What was written since the last time; it stays as it is until `rewind`. */
  take(): Buffer {
    const { buffer, start, position } = this;
    this.start = position;
    if (buffer.length - position < MIN_REST_BYTES) {
      this.buffer = Buffer.allocUnsafeSlow(
        Math.min(Math.max(buffer.length * 2, INITIAL_BYTES), MAX_KEPT_BYTES),
      );
      this.start = this.position = 0;
    }
    return buffer.subarray(start, position);
  }

  /**
   * Nothing that was taken is needed any more: its memory is used again. Fresh memory for every write had the
   * collector run for each 9 MB that were sent, however little there was to collect.
   */
  rewind(): void {
    if (this.length > 0) return;
    if (this.buffer.length > MAX_KEPT_BYTES) this.buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
    this.start = this.position = 0;
  }

  private ascii(value: string): boolean {
    const { buffer } = this;
    const start = this.position + 1;
    for (let index = 0; index < value.length; index++) {
      const code = value.charCodeAt(index);
      if (code > 127) return false;
      buffer[start + index] = code;
    }
    buffer[this.position] = value.length;
    this.position = start + value.length;
    return true;
  }

  private reserve(bytes: number): void {
    if (this.position + bytes <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(
      Math.max(this.buffer.length * 2, this.position + bytes, INITIAL_BYTES),
    );
    // What was taken stays where it is.
    this.buffer.copy(grown, this.start, this.start, this.position);
    this.buffer = grown;
  }
}

/** Reads what `ByteWriter` wrote. Never reads past the end: a short or lying input is a `PROTOCOL_ERROR`. */
export class ByteReader {
  constructor(
    readonly buffer: Buffer,
    public position = 0,
    readonly end = buffer.length,
  ) {}

  /** Bytes that are not read yet. */
  get length(): number {
    return this.end - this.position;
  }

  u8(): number {
    return this.buffer[this.advance(1)] as number;
  }

  u16(): number {
    return this.buffer.readUInt16LE(this.advance(2));
  }

  u32(): number {
    return this.buffer.readUInt32LE(this.advance(4));
  }

  i32(): number {
    return this.buffer.readInt32LE(this.advance(4));
  }

  f64(): number {
    return this.buffer.readDoubleLE(this.advance(8));
  }

  string(): string {
    const length = this.u8();
    if (length !== LONG) {
      const start = this.advance(length);
      return this.buffer.latin1Slice(start, start + length);
    }
    const bytes = this.u32();
    const start = this.advance(bytes);
    return this.buffer.utf8Slice(start, start + bytes);
  }

  /** A view, not a copy. */
  bytes(): Buffer {
    const length = this.u32();
    const start = this.advance(length);
    return this.buffer.subarray(start, start + length);
  }

  json(): unknown {
    const text = this.string();
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new MessagingError('PROTOCOL_ERROR', 'a frame holds broken JSON', { cause: error });
    }
  }

  /** A count of things that take at least `bytesEach`; a larger one than the frame can hold is refused before anything is allocated. */
  count(bytesEach: number): number {
    const count = this.u32();
    if (count * bytesEach > this.end - this.position) {
      throw new MessagingError('PROTOCOL_ERROR', `a frame announces ${count} items and ends before them`);
    }
    return count;
  }

  /** Asserts that the frame holds nothing more. */
  finish(): void {
    if (this.position !== this.end) {
      throw new MessagingError('PROTOCOL_ERROR', `a frame has ${this.end - this.position} bytes too many`);
    }
  }

  skip(bytes: number): void {
    this.advance(bytes);
  }

  private advance(bytes: number): number {
    const start = this.position;
    if (start + bytes > this.end) throw new MessagingError('PROTOCOL_ERROR', 'a frame ends too early');
    this.position = start + bytes;
    return start;
  }
}

declare global {
  interface Buffer {
    /** `toString('latin1', …)` without looking the encoding up; in every Node release since 4. */
    latin1Slice(start: number, end: number): string;
    /** `toString('utf8', …)` without looking the encoding up. */
    utf8Slice(start: number, end: number): string;
  }
}
