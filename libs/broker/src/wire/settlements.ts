/** Payloads of verdicts and of the answer to them. */
import { DEAD_LETTER_REASONS, ERROR_KINDS, type ErrorKind, MessagingError } from '#libs/messaging/port';
import type { Settlement } from '../session.js';
import type { ByteReader, ByteWriter } from './bytes.js';

/** 0: not known. */
const kindNumber = (kind: ErrorKind | undefined): number =>
  kind === undefined ? 0 : ERROR_KINDS.indexOf(kind) + 1;

function readKind(reader: ByteReader): ErrorKind | undefined {
  const number = reader.u8();
  const kind = ERROR_KINDS[number - 1];
  if (number > 0 && kind === undefined) throw new MessagingError('PROTOCOL_ERROR', 'no such kind of error');
  return kind;
}

const VERDICTS = ['ack', 'retry', 'dead-letter', 'extend', 'release'] as const;
const SETTLEMENT_BYTES = 9;

export function writeSettlements(writer: ByteWriter, settlements: readonly Settlement[]): void {
  writer.u32(settlements.length);
  for (const settlement of settlements) {
    writer.u8(VERDICTS.indexOf(settlement.verdict));
    writer.f64(settlement.deliveryId);
    switch (settlement.verdict) {
      case 'ack':
      case 'release':
        break;
      case 'retry':
        writer.f64(settlement.delayMs);
        writer.u8(kindNumber(settlement.kind));
        writer.string(settlement.error);
        break;
      case 'dead-letter':
        writer.u8(DEAD_LETTER_REASONS.indexOf(settlement.reason));
        writer.u8(kindNumber(settlement.kind));
        writer.string(settlement.error);
        break;
      case 'extend':
        writer.f64(settlement.leaseMs);
        break;
    }
  }
}

export function readSettlements(reader: ByteReader): Settlement[] {
  const count = reader.count(SETTLEMENT_BYTES);
  const settlements: Settlement[] = [];
  for (let index = 0; index < count; index++) {
    const verdict = VERDICTS[reader.u8()];
    const deliveryId = reader.f64();
    switch (verdict) {
      case 'ack':
      case 'release':
        settlements.push({ deliveryId, verdict });
        break;
      case 'retry':
        settlements.push({
          deliveryId,
          verdict,
          delayMs: reader.f64(),
          kind: readKind(reader),
          error: reader.string(),
        });
        break;
      case 'dead-letter': {
        const reason = DEAD_LETTER_REASONS[reader.u8()];
        if (reason === undefined) throw new MessagingError('PROTOCOL_ERROR', 'no such dead-letter reason');
        settlements.push({ deliveryId, verdict, reason, kind: readKind(reader), error: reader.string() });
        break;
      }
      case 'extend':
        settlements.push({ deliveryId, verdict, leaseMs: reader.f64() });
        break;
      default:
        throw new MessagingError('PROTOCOL_ERROR', 'no such verdict');
    }
  }
  return settlements;
}

/** The answer to a settle: how many were asked, and which of them were refused (usually none). */
export function writeSettled(writer: ByteWriter, recorded: readonly boolean[]): void {
  writer.u32(recorded.length);
  const refused: number[] = [];
  recorded.forEach((done, index) => {
    if (!done) refused.push(index);
  });
  writer.u32(refused.length);
  for (const index of refused) writer.u32(index);
}

export function readSettled(reader: ByteReader, asked: number): boolean[] {
  if (reader.u32() !== asked) {
    throw new MessagingError('PROTOCOL_ERROR', 'an answer to a settle has the wrong length');
  }
  const recorded = new Array<boolean>(asked).fill(true);
  const refused = reader.count(4);
  for (let index = 0; index < refused; index++) {
    const at = reader.u32();
    if (at >= asked) throw new MessagingError('PROTOCOL_ERROR', 'an answer to a settle names no settlement');
    recorded[at] = false;
  }
  return recorded;
}
