/** Bytes of one answer to an operator, as JSON: a frame holds 8 MiB (`wire/frames.ts`). */
const MAX_ANSWER_BYTES = 7 * 1024 * 1024;

/** How much still fits into one answer: whoever asked for more reads on where it ends. */
export class AnswerBudget {
  private left = MAX_ANSWER_BYTES;

  /** False when this does not fit any more; the first one always does. `bodyBytes` become base64, `rest` JSON. */
  take(bodyBytes: number, rest: object): boolean {
    const isFirst = this.left === MAX_ANSWER_BYTES;
    this.left -= Math.ceil(bodyBytes / 3) * 4 + Buffer.byteLength(JSON.stringify(rest)) + 64;
    return isFirst || this.left >= 0;
  }
}
