import type { Letter } from '../dead-letters/dead-letters.js';
import type { BrokerHost } from '../host.js';
import type { Block } from '../journal/block.js';
import { EntryType } from '../journal/format.js';
import type { Segment } from '../journal/segments.js';
import { recordAt } from '../topics/record.js';
import { copyUnchanged } from '../topics/write-record.js';
import type { Transaction } from '../transactions/transactions.js';
import type { Facts } from './facts.js';
import type { Stores } from './stores.js';

/** A segment of which more than this share is owed stays: writing it anew would free little. */
const MAX_OWED_SHARE = 0.5;
/** And one that owes more messages than this, so that a look at it takes milliseconds. */
const MAX_OWED_MESSAGES = 10_000;
/** Bytes of messages in one entry, unless one alone is larger. */
const MAX_ENTRY_RECORD_BYTES = 1024 * 1024;

/** What an old segment owes: delayed messages, dead letters, half messages. */
type Owed = {
  timers: { hash: number; position: number }[];
  letters: { group: string; letter: Letter; position: number }[];
  transactions: Transaction[];
};

/**
 * Writes what is old and still owed anew at the end of the journal, so that one delayed message does not keep its segment and
 * with it all that came later:
 *
 *     | ··timer·· | ··· | ··· | end        | ··· | ··· | CARRIED: timer | end
 *       oldest, else settled          →      and the oldest can go
 */
export class CarryForward {
  constructor(
    private readonly host: BrokerHost,
    private readonly stores: Pick<Stores, 'timers' | 'transactions' | 'deadLetters'>,
  ) {}

  /** Leaves nothing owed in `oldest`, which ends before `before`. False when too much is. */
  async empty(oldest: Segment, before: number): Promise<boolean> {
    const owed = this.owedBefore(before);
    if (!owed) return false;
    const positions = positionsIn(owed);
    if (positions.length === 0) return true;
    const records = await this.read(positions, (before - oldest.base) * MAX_OWED_SHARE);
    if (!records) return false;
    const bytes = positions.reduce((sum, at) => sum + recordAt.length(records.get(at)!, at), 0);
    // The segment that goes frees at least twice as much.
    if (!this.host.space.fitsToFree(bytes)) return false;
    this.write(owed, records);
    return true;
  }

  private owedBefore(before: number): Owed | undefined {
    const { timers, transactions, deadLetters } = this.stores;
    const owed: Owed = { timers: [], letters: [], transactions: [] };
    let count = 0;
    if (timers.lowestPosition() < before) {
      for (const timer of timers.before(before)) {
        if (++count > MAX_OWED_MESSAGES) return undefined;
        owed.timers.push(timer);
      }
    }
    for (const [group, letter] of deadLetters.before(before)) {
      if (++count > MAX_OWED_MESSAGES) return undefined;
      owed.letters.push({ group, letter, position: letter.position });
    }
    for (const transaction of transactions.all()) {
      if ((transaction.positions[0] ?? Infinity) >= before) continue;
      if ((count += transaction.positions.length) > MAX_OWED_MESSAGES) return undefined;
      owed.transactions.push(transaction);
    }
    return owed;
  }

  /** The records at these positions; undefined when they are longer than `maxBytes` together. */
  private async read(
    positions: readonly number[],
    maxBytes: number,
  ): Promise<ReadonlyMap<number, Block> | undefined> {
    const records = new Map<number, Block>();
    let bytes = 0;
    for (const position of positions) {
      const block = await this.host.load(position);
      bytes += recordAt.length(block, position);
      if (bytes > maxBytes) return undefined;
      records.set(position, block);
    }
    return records;
  }

  /** Those that are still owed: while they were read some fired, were decided, redriven or taken back. */
  private write(owed: Owed, records: ReadonlyMap<number, Block>): void {
    const { timers, transactions, deadLetters } = this.stores;
    let entry = new CarriedEntry(this.host, records);
    const room = (positions: readonly number[]): CarriedEntry => {
      if (!entry.hasRoomFor(positions)) {
        entry.write();
        entry = new CarriedEntry(this.host, records);
      }
      return entry;
    };
    for (const { hash, position } of owed.timers)
      if (timers.has(hash, position)) room([position]).addTimer(hash, position);
    for (const { group, letter, position } of owed.letters)
      // One that was edited since is elsewhere already.
      if (deadLetters.find(group, letter.id, letter.offset) === letter && letter.position === position)
        room([position]).addLetter(group, letter);
    for (const transaction of owed.transactions)
      if (transactions.find(transaction.id) === transaction)
        room(transaction.positions).addTransaction(transaction);
    entry.write();
  }
}

const positionsIn = ({ timers, letters, transactions }: Owed): number[] => [
  ...timers.map(({ position }) => position),
  ...letters.map(({ position }) => position),
  ...transactions.flatMap(({ positions }) => positions),
];

/** One `CARRIED` entry: its records are those of its timers, then of its letters, then of its transactions. */
class CarriedEntry {
  private readonly facts: Facts['carried'] = { timers: [], letters: [], transactions: [] };
  private readonly positions = { timers: [] as number[], letters: [] as number[], halves: [] as number[] };
  private bytes = 0;

  constructor(
    private readonly host: BrokerHost,
    private readonly records: ReadonlyMap<number, Block>,
  ) {}

  hasRoomFor(positions: readonly number[]): boolean {
    return this.bytes === 0 || this.bytes + this.bytesOf(positions) <= MAX_ENTRY_RECORD_BYTES;
  }

  private bytesOf(positions: readonly number[]): number {
    return positions.reduce((sum, at) => sum + recordAt.length(this.records.get(at)!, at), 0);
  }

  addTimer(hash: number, position: number): void {
    this.facts.timers.push([hash, position]);
    this.positions.timers.push(position);
    this.bytes += this.bytesOf([position]);
  }

  addLetter(group: string, { offset, position }: Letter): void {
    this.facts.letters.push([group, offset]);
    this.positions.letters.push(position);
    this.bytes += this.bytesOf([position]);
  }

  addTransaction({ id, producerGroup, preparedAtMs, preparedAt, checks, positions }: Transaction): void {
    this.facts.transactions.push({
      id,
      producerGroup,
      atMs: preparedAtMs,
      preparedAt,
      checks,
      messages: positions.length,
    });
    this.positions.halves.push(...positions);
    this.bytes += this.bytesOf(positions);
  }

  write(): void {
    if (this.bytes === 0) return;
    const { timers, letters, halves } = this.positions;
    this.host.commit(EntryType.CARRIED, this.facts, this.bytes, (out) => {
      for (const at of [...timers, ...letters, ...halves]) copyUnchanged(out, this.records.get(at)!, at);
    });
  }
}
