/** Kafka's bound of a commit's metadata is 4,096 bytes. */
const MAX_NOTE_CHARS = 3_500;

/** What a member notes beside a committed offset, for the next owner of the partition and for operators. */
export type Note = {
  /** Everything before this offset is done with, apart from `open`. */
  next?: number;
  /** Ranges that are not, as `5,9-12`. */
  open?: string;
  /** Delivered and not settled. */
  inFlight: number;
  /** Deliveries settled for the group in this partition so far. */
  acked: number;
};

/**
 * Which offsets of a partition a group is done with. Kafka knows one number per partition; a note beside it tells what is done
 * behind it, so that a member that takes over does not begin with those anew:
 *
 *     read to 13, open 5 and 9 to 12     committed 5, note {"next":13,"open":"5,9-12"}
 *
 * Where the note grows beyond Kafka's bound it is left out, and what is done behind the committed offset is delivered again.
 */
export class OffsetWindow {
  /** Ascending: offsets are taken in that order, and a set keeps it. */
  private readonly open: Set<number>;
  private next: number;
  /** What was done with before this member took over ends here. */
  private readonly resumedTo: number;
  acked: number;

  constructor(committed: number, note: Partial<Note> = {}) {
    this.open = new Set(note.open === undefined ? [] : fromRanges(note.open));
    this.next = Math.max(committed, note.next ?? committed);
    this.resumedTo = this.next;
    this.acked = note.acked ?? 0;
  }

  /** The lowest offset that is not done with. */
  get committed(): number {
    return this.open.size === 0 ? this.next : this.open.values().next().value!;
  }

  /** Offsets that are open. */
  get size(): number {
    return this.open.size;
  }

  /** False for what was done with before. */
  take(offset: number): boolean {
    if (offset < this.resumedTo) return this.open.has(offset);
    this.open.add(offset);
    return true;
  }

  /** Everything before was read; of the offsets from `from` on only `offsets` hold messages. */
  readTo(from: number, next: number, offsets: ReadonlySet<number>): void {
    this.next = Math.max(this.next, next);
    for (let offset = from; offset < Math.min(next, this.resumedTo); offset++)
      if (!offsets.has(offset)) this.open.delete(offset);
  }

  finish(offset: number): void {
    this.open.delete(offset);
  }

  note(inFlight: number): string {
    const { next, acked } = this;
    const open = toRanges(this.open);
    return JSON.stringify(
      open.length > MAX_NOTE_CHARS ? { inFlight, acked } : { next, open, inFlight, acked },
    );
  }
}

/** A note of somebody else's is none. */
export function readNote(text: string): Partial<Note> {
  try {
    const note: unknown = JSON.parse(text);
    return typeof note === 'object' && note !== null ? note : {};
  } catch {
    return {};
  }
}

/** Messages of a partition that are not settled. */
export function lagOf({ offset, note }: { offset: number; note: string }, endOffset: number): number {
  const { next, open } = readNote(note);
  if (next === undefined || open === undefined) return Math.max(0, endOffset - offset);
  return Math.max(0, endOffset - next) + fromRanges(open).length;
}

function toRanges(ascending: Iterable<number>): string {
  const ranges: [number, number][] = [];
  for (const offset of ascending) {
    const last = ranges.at(-1);
    if (last?.[1] === offset - 1) last[1] = offset;
    else ranges.push([offset, offset]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}

function fromRanges(text: string): number[] {
  if (text === '') return [];
  return text.split(',').flatMap((range) => {
    const [from = 0, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
}
