/** Which dead letters of each group are neither redriven nor discarded. The letters are messages of the topic `%DLQ%<group>`. */
export class DeadLetters {
  /** By group name: message id → offset in the dead-letter topic, in order of offsets. */
  private readonly live = new Map<string, Map<string, number>>();

  add(group: string, id: string, offset: number): void {
    let letters = this.live.get(group);
    if (!letters) this.live.set(group, (letters = new Map<string, number>()));
    letters.delete(id);
    letters.set(id, offset);
  }

  remove(group: string, id: string): boolean {
    return this.live.get(group)?.delete(id) ?? false;
  }

  offsetOf(group: string, id: string): number | undefined {
    return this.live.get(group)?.get(id);
  }

  count(group: string): number {
    return this.live.get(group)?.size ?? 0;
  }

  /** Offsets behind `afterOffset`, oldest first. */
  offsets(group: string, afterOffset: number, limit: number): number[] {
    const offsets: number[] = [];
    for (const offset of this.live.get(group)?.values() ?? []) {
      if (offsets.length >= limit) break;
      if (offset > afterOffset) offsets.push(offset);
    }
    return offsets;
  }

  /** The oldest live offset of a group's dead letters. */
  oldest(group: string): number | undefined {
    return this.live.get(group)?.values().next().value;
  }

  *entries(): Generator<[group: string, id: string, offset: number]> {
    for (const [group, letters] of this.live) for (const [id, offset] of letters) yield [group, id, offset];
  }
}
