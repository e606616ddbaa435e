/** Most actors that the steps of the ring are of. A further one is not named. */
export const MAX_ACTORS = 4_096;

/** Who does a step: a group, and where one of its members does it, that one and the node it runs on. */
export class Actor {
  /** Its number in the table, good while `epoch` is the table's. Whoever does many steps keeps its actor, so that none of them looks anything up. */
  number = 0;
  epoch = -1;

  constructor(
    readonly group: string,
    readonly consumer?: string,
    readonly node?: string,
  ) {}
}

/** Numbers for actors, from 1 to `MAX_ACTORS`; 0 is none. */
export class Actors {
  private readonly actors: (Actor | undefined)[] = [undefined];
  private readonly numbers = new Map<string, number>();
  private free: number[] = [];
  private epoch = 0;
  private added: number[] = [];

  /** 0 when the table is full: `keepOnly` makes room. */
  numberOf(actor: Actor): number {
    if (actor.epoch === this.epoch) return actor.number;
    const key = keyOf(actor);
    const number = this.numbers.get(key) ?? this.add(key, actor);
    if (number === 0) return 0;
    actor.epoch = this.epoch;
    actor.number = number;
    return number;
  }

  private add(key: string, actor: Actor): number {
    const number = this.free.pop() ?? this.actors.length;
    if (number > MAX_ACTORS) return 0;
    this.actors[number] = actor;
    this.numbers.set(key, number);
    this.added.push(number);
    return number;
  }

  get(number: number): Actor | undefined {
    return this.actors[number];
  }

  /** All of them, or those that were added since this was asked last. */
  take(all: boolean): (readonly [number: number, Actor])[] {
    const numbers = all ? [...this.numbers.values()] : this.added;
    this.added = [];
    return numbers.map((number) => [number, this.actors[number]!]);
  }

  /** Forgets all others; their numbers are given again. */
  keepOnly(used: ReadonlySet<number>): void {
    for (const [key, number] of this.numbers) {
      if (used.has(number)) continue;
      this.numbers.delete(key);
      this.actors[number] = undefined;
      this.free.push(number);
    }
    this.added = this.added.filter((number) => used.has(number));
    this.epoch += 1;
  }
}

const keyOf = ({ group, consumer, node }: Actor): string => JSON.stringify([group, consumer, node]);
