/** A stretch of the journal in memory: byte `p` of the journal is `bytes[p - start]`, for `start ≤ p < end`. */
export type Block = { readonly bytes: Buffer; readonly view: DataView; readonly start: number; end: number };

export function blockOf(bytes: Buffer, start: number, end = start + bytes.byteLength): Block {
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), start, end };
}

/** A block for writing; never from Node's shared pool, because message bodies handed out keep it alive. */
export const newBlock = (start: number, sizeBytes: number): Block =>
  blockOf(Buffer.allocUnsafeSlow(sizeBytes), start, start);
