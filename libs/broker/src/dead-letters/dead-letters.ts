import type { DeadLetterFilter, DeadLetterReason, ErrorKind } from '#libs/messaging/port';

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
  /** In the group's dead-letter topic. */
  offset: number;
  atMs: number;
  /** How often the broker has given it back by itself. */
  automaticRedrives: number;
  cause: Cause;
};

class GroupLetters {
  /** By message id, in order of offsets. */
  readonly live = new Map<string, Letter>();
  /** Dropped by retention. */
  dropped = 0;
  private readonly causes = new Map<string, Cause>();

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
  letters: [id: string, offset: number, atMs: number, cause: number, automaticRedrives: number][];
};

/** Which dead letters of each group are neither redriven, discarded nor dropped. The letters are messages of the topic `%DLQ%<group>`. */
export class DeadLetters {
  private readonly byGroup = new Map<string, GroupLetters>();

  add(group: string, id: string, letter: Letter): void {
    const letters = this.of(group);
    // Behind all others, also when an older death of the same message is still there.
    letters.live.delete(id);
    letters.live.set(copied(id), { ...letter, cause: letters.shared(letter.cause) });
  }

  private of(group: string): GroupLetters {
    let letters = this.byGroup.get(group);
    if (!letters) this.byGroup.set(group, (letters = new GroupLetters()));
    return letters;
  }

  remove(group: string, id: string): boolean {
    return this.byGroup.get(group)?.live.delete(id) ?? false;
  }

  find(group: string, id: string): Letter | undefined {
    return this.byGroup.get(group)?.live.get(id);
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
  *live(group: string): Generator<[id: string, letter: Letter]> {
    yield* this.byGroup.get(group)?.live ?? [];
  }

  /** The oldest live offset of a group's dead letters. */
  oldest(group: string): number | undefined {
    return this.byGroup.get(group)?.live.values().next().value?.offset;
  }

  /** Oldest first. */
  matching(group: string, filter: DeadLetterFilter): [id: string, letter: Letter][] {
    return [...this.live(group)].filter(([, letter]) => matches(letter, filter));
  }

  /** Drops what lies before an offset; the answer is how many that are. */
  dropBefore(group: string, offset: number): number {
    const letters = this.of(group);
    let count = 0;
    for (const [id, letter] of letters.live) {
      if (letter.offset >= offset) break;
      letters.live.delete(id);
      count += 1;
    }
    letters.dropped += count;
    return count;
  }

  facts(): GroupLettersFacts[] {
    return [...this.byGroup].map(([group, { live, dropped }]) => {
      const causes = new Map<Cause, number>();
      const letters = [...live].map(
        ([id, { offset, atMs, cause, automaticRedrives }]): GroupLettersFacts['letters'][number] => {
          let place = causes.get(cause);
          if (place === undefined) causes.set(cause, (place = causes.size));
          return [id, offset, atMs, place, automaticRedrives];
        },
      );
      return { group, dropped, causes: [...causes.keys()], letters };
    });
  }

  /** Replaces what is known. */
  restore(facts: readonly GroupLettersFacts[]): void {
    this.byGroup.clear();
    for (const { group, dropped, causes, letters } of facts) {
      this.of(group).dropped = dropped;
      for (const [id, offset, atMs, place, automaticRedrives] of letters) {
        this.add(group, id, { offset, atMs, automaticRedrives, cause: causes[place]! });
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
