/**
 * The hash by which recent message ids are looked up: four characters at a time, because every send pays for it
 * and a start pays for a million of them. Lives in memory only, so it may change with any version.
 */
import type { Block } from '../journal/block.js';
import { RECORD_HEADER_BYTES, recordAt } from './record.js';

/** Golden ratio (Knuth's multiplicative hashing), and FNV's prime for what is left at the end. */
const WORD_FACTOR = 0x9e3779b1;
const CHARACTER_FACTOR = 0x01000193;
const SEED = 0x811c9dc5;

/** For whoever asks for an id in whatever topic. */
export const ANY_TOPIC = 0;

/** An id is its topic's: the same one in another topic is another hash. */
const seedOf = (topicId: number): number => SEED ^ Math.imul(topicId, WORD_FACTOR);

export function hashOfId(id: string, topicId: number): number {
  const { length } = id;
  let hash = seedOf(topicId);
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    const word =
      id.charCodeAt(i) |
      (id.charCodeAt(i + 1) << 8) |
      (id.charCodeAt(i + 2) << 16) |
      (id.charCodeAt(i + 3) << 24);
    hash = mixWord(hash, word);
  }
  for (; i < length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), CHARACTER_FACTOR);
  return finish(hash);
}

/** `hashOfId` of the id of the record at `position`, read as words unless it is not ASCII. */
export function hashOfIdAt(block: Block, position: number, topicId: number): number {
  const { view } = block;
  let at = position - block.start + RECORD_HEADER_BYTES;
  // A NUL ends the id, or the text does.
  const end = at + recordAt.textLength(block, position);
  let hash = seedOf(topicId);
  for (; at + 4 <= end; at += 4) {
    const word = view.getInt32(at, true);
    if ((word & 0x80808080) !== 0) return hashOfId(recordAt.id(block, position), topicId);
    // Whether one of the four bytes is 0 (Mycroft's test).
    if (((word - 0x01010101) & ~word & 0x80808080) !== 0) break;
    hash = mixWord(hash, word);
  }
  for (; at < end; at++) {
    const character = view.getUint8(at);
    if (character === 0) break;
    if (character > 0x7f) return hashOfId(recordAt.id(block, position), topicId);
    hash = Math.imul(hash ^ character, CHARACTER_FACTOR);
  }
  return finish(hash);
}

function mixWord(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, WORD_FACTOR);
  return mixed ^ (mixed >>> 15);
}

const finish = (hash: number): number => (hash ^ (hash >>> 13)) >>> 0;
