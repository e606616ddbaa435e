/**
 * A stretch of the journal in memory: byte `p` of the journal is `bytes[p - start]`, for `start ≤ p < end`.
 *
 * Its memory is used for another stretch once the cache has no room for it, unless it has `users` or is `lent`.
 */
export type Block = {
  bytes: Buffer;
  view: DataView;
  readonly start: number;
  end: number;
  /** Deliveries and cursors that will read from it again. */
  users: number;
  /** Whoever has it, or a view of its bytes, may keep it for ever: its memory is the collector's to free. */
  lent: boolean;
};

export function blockOf(bytes: Buffer, start: number, end = start + bytes.byteLength): Block {
  return {
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    start,
    end,
    users: 0,
    lent: false,
  };
}

/** A block of `length` bytes at `at` in the memory of another: no views are made for it. */
export function pieceOf({ bytes, view }: Block, at: number, position: number, length: number): Block {
  return { bytes, view, start: position - at, end: position + length, users: 0, lent: false };
}

/** A block for writing; never from Node's shared pool, because message bodies handed out keep it alive. */
export const newBlock = (start: number, sizeBytes: number, memory?: Buffer): Block =>
  blockOf(memory ?? Buffer.allocUnsafeSlow(sizeBytes), start, start);

const NOTHING = Buffer.alloc(0);
const NO_VIEW = new DataView(new ArrayBuffer(0));

/**
 * Takes its memory from a block that nobody needs. Should somebody read from it all the same, that is a
 * `RangeError`, and never the bytes of another block.
 */
export function takeMemory(block: Block): Buffer {
  const { bytes } = block;
  block.bytes = NOTHING;
  block.view = NO_VIEW;
  block.end = block.start;
  return bytes;
}
