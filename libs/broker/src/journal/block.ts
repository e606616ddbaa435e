/** A stretch of the journal in memory: byte `p` of the journal is `bytes[p - start]`, for `start ≤ p < end`. */
export type Block = {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly start: number;
  end: number;
  /** Somebody was given it, and may have kept it: its memory is the collector's to free. */
  lent: boolean;
};

export function blockOf(bytes: Buffer, start: number, end = start + bytes.byteLength): Block {
  return {
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    start,
    end,
    lent: false,
  };
}

/** A block for writing; never from Node's shared pool, because message bodies handed out keep it alive. */
export const newBlock = (start: number, sizeBytes: number, spare?: Buffer): Block =>
  blockOf(spare ?? Buffer.allocUnsafeSlow(sizeBytes), start, start);
