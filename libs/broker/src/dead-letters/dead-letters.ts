import type { DeadLetterFilter, DeadLetterReason, ErrorKind } from '#libs/messaging/port';
import { NOWHERE } from '../topics/record.js';

/** What died of what. Letters share one object for each combination. */
export type Cause = {
  topic: string;
  tag: string;
  reason: DeadLetterReason;
  /** Of the last failure, where the consumer named it. */
  kind?: ErrorKind;
};

/** What is known of a live dead letter without reading it. */
export type Letter = {
  /** Of the message. Another message of the same id may be dead as well. */
  id: string;
  /** In the group's dead-letter topic. */
  offset: number;
  /** Where the journal has its record. */
  position: number;
  /** Where the message was before it died; `NOWHERE` when its topic was full. */
  origin: { partition: number; offset: number };
  atMs: number;
  /** How often the broker has given it back by itself. */
  automaticRedrives: number;
  cause: Cause;
};

class GroupLetters {
  /** By offset in the dead-letter topic, in its order. */
  readonly live = new Map<number, Letter>();
  /** Offsets by message id, oldest first. */
  private readonly byId = new Map<string, number[]>();
  /** Dropped by retention. */
  dropped = 0;
  private readonly causes = new Map<string, Cause>();

  add(letter: Letter): void {
    this.live.set(letter.offset, letter);
    const offsets = this.byId.get(letter.id);
    if (offsets) offsets.push(letter.offset);
    else this.byId.set(letter.id, [letter.offset]);
  }

  remove(letter: Letter): void {
    this.live.delete(letter.offset);
    const others = this.withId(letter.id).filter((offset) => offset !== letter.offset);
    if (others.length > 0) this.byId.set(letter.id, others);
    else this.byId.delete(letter.id);
  }

  withId(id: string): readonly number[] {
    return this.byId.get(id) ?? [];
  }

  /** An earlier death of the very same message: it was reset to, and died again. */
  earlier({ id, origin, cause }: Letter): Letter | undefined {
    if (origin.offset < 0) return undefined;
    for (const offset of this.withId(id)) {
      const letter = this.live.get(offset)!;
      const { origin: other } = letter;
      const isSamePlace = other.partition === origin.partition && other.offset === origin.offset;
      if (isSamePlace && letter.cause.topic === cause.topic) return letter;
    }
    return undefined;
  }

  /** One object for all equal causes. Forgets all when somebody invents more than 4,096. */
  shared(cause: Cause): Cause {
    const name = JSON.stringify([cause.topic, cause.tag, cause.reason, cause.kind]);
    const known = this.causes.get(name);
    if (known) return known;
    if (this.causes.size >= 4096) this.causes.clear();
    // Copied, because what was cut out of a record's text would keep all of that text in memory.
    const own = { ...cause, topic: copied(cause.topic), tag: copied(cause.tag) };
    this.causes.set(name, own);
    return own;
  }
}

const copied = (text: string): string => Buffer.from(text).toString();

/** As every segment's snapshot holds it; a letter names its cause by its place among the causes. */
export type GroupLettersFacts = {
  group: string;
  dropped: number;
  causes: Cause[];
  letters: [
    id: string,
    offset: number,
    atMs: number,
    cause: number,
    automaticRedrives: number,
    /** Absent in logs of version 0.1. */
    origin?: [partition: number, offset: number],
  ][];
};

/** Until the replay comes to its record. */
const UNKNOWN_POSITION = -1;

/** Which dead letters of each group are neither redriven, discarded nor dropped. The letters are messages of the topic `%DLQ%<group>`. */
export class DeadLetters {
  private readonly byGroup = new Map<string, GroupLetters>();

  add(group: string, letter: Letter): void {
    const letters = this.of(group);
    // A snapshot has told of it already, but not where its record is.
    const known = letters.live.get(letter.offset);
    if (known) {
      known.position = letter.position;
      return;
    }
    const earlier = letters.earlier(letter);
    if (earlier) letters.remove(earlier);
    letters.add({ ...letter, id: copied(letter.id), cause: letters.shared(letter.cause) });
  }

  private of(group: string): GroupLetters {
    let letters = this.byGroup.get(group);
    if (!letters) this.byGroup.set(group, (letters = new GroupLetters()));
    return letters;
  }

  /** Its record is elsewhere now. */
  carried(group: string, offset: number, position: number): void {
    const letter = this.byGroup.get(group)?.live.get(offset);
    if (letter) letter.position = position;
  }

  /** Without an offset (in logs of version 0.1, too) the oldest with this id. */
  remove(group: string, id: string, offset?: number): void {
    const letter = this.find(group, id, offset);
    if (letter) this.of(group).remove(letter);
  }

  /** The oldest with this id, or the one at `offset`. */
  find(group: string, id: string, offset?: number): Letter | undefined {
    const letters = this.byGroup.get(group);
    const letter = letters?.live.get(offset ?? letters.withId(id)[0] ?? -1);
    return letter?.id === id ? letter : undefined;
  }

  count(group: string): number {
    return this.byGroup.get(group)?.live.size ?? 0;
  }

  dropped(group: string): number {
    return this.byGroup.get(group)?.dropped ?? 0;
  }

  /** Groups that have had dead letters. */
  groups(): IterableIterator<string> {
    return this.byGroup.keys();
  }

  /** Oldest first. */
  live(group: string): Iterable<Letter> {
    return this.byGroup.get(group)?.live.values() ?? [];
  }

  /** Live letters of all groups whose records lie before a position of the journal. */
  *before(position: number): Generator<[group: string, letter: Letter]> {
    for (const [group, { live }] of this.byGroup)
      for (const letter of live.values()) if (letter.position < position) yield [group, letter];
  }

  /** Oldest first. */
  matching(group: string, filter: DeadLetterFilter): Letter[] {
    return [...this.live(group)].filter((letter) => matches(letter, filter));
  }

  /** Drops what lies before an offset; the answer is how many that are. */
  dropBefore(group: string, offset: number): number {
    const letters = this.of(group);
    let count = 0;
    for (const letter of letters.live.values()) {
      if (letter.offset >= offset) break;
      letters.remove(letter);
      count += 1;
    }
    letters.dropped += count;
    return count;
  }

  /** The group is gone. */
  forget(group: string): void {
    this.byGroup.delete(group);
  }

  facts(): GroupLettersFacts[] {
    return [...this.byGroup].map(([group, { live, dropped }]) => {
      const causes = new Map<Cause, number>();
      const letters = [...live.values()].map(
        ({ id, offset, atMs, cause, automaticRedrives, origin }): GroupLettersFacts['letters'][number] => {
          let place = causes.get(cause);
          if (place === undefined) causes.set(cause, (place = causes.size));
          return [id, offset, atMs, place, automaticRedrives, [origin.partition, origin.offset]];
        },
      );
      return { group, dropped, causes: [...causes.keys()], letters };
    });
  }

  /** Replaces what is known. */
  restore(facts: readonly GroupLettersFacts[]): void {
    const before = new Map(this.byGroup);
    this.byGroup.clear();
    for (const { group, dropped, causes, letters } of facts) {
      this.of(group).dropped = dropped;
      for (const [id, offset, atMs, place, automaticRedrives, from] of letters) {
        const origin = from ? { partition: from[0], offset: from[1] } : NOWHERE;
        const position = before.get(group)?.live.get(offset)?.position ?? UNKNOWN_POSITION;
        this.add(group, { id, offset, position, origin, atMs, automaticRedrives, cause: causes[place]! });
      }
    }
  }
}

function matches({ offset, atMs, cause }: Letter, filter: DeadLetterFilter): boolean {
  const { reason, topic, tag, deadBeforeMs = Infinity, upToOffset = Infinity } = filter;
  return (
    (reason === undefined || cause.reason === reason) &&
    (topic === undefined || cause.topic === topic) &&
    (tag === undefined || cause.tag === tag) &&
    atMs < deadBeforeMs &&
    offset <= upToOffset
  );
}
