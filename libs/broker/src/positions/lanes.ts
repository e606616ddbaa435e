import type { Cursor, Place } from './cursor.js';

type Lane = Place[];

/**
 * Ordered groups: of each key the message that is in flight, and behind it those that wait for it. A lane is of a key in a
 * topic. A message that was given back (a redrive) lies in the group's retry topic and stands in the lane of the topic
 * that it came from: so it runs beside no other of its key.
 *
 *     order, key A    order/2 offset 7 (in flight) ← order/2 offset 9 ← retries/0 offset 3
 */
export class Lanes {
  private readonly byTopic = new Map<string, Map<string, Lane>>();

  /** Whether it may go out now; else it waits in its lane, and comes back from `free`. */
  enter(topic: string, key: string, cursor: Cursor, offset: number): boolean {
    const lanes = this.byTopic.get(topic) ?? new Map<string, Lane>();
    if (lanes.size === 0) this.byTopic.set(topic, lanes);
    const lane = lanes.get(key);
    if (lane) {
      lane.push({ cursor, offset });
      return false;
    }
    lanes.set(key, [{ cursor, offset }]);
    return true;
  }

  /** The first of a lane is done with, or cannot be delivered any more. Returns the one that may go out now. */
  free(topic: string, key: string, cursor: Cursor, offset: number): Place | undefined {
    const lanes = this.byTopic.get(topic);
    const lane = lanes?.get(key);
    if (!lanes || !lane || !isAt(lane[0], cursor, offset)) return undefined;
    lane.shift();
    if (lane.length === 0) lanes.delete(key);
    return lane[0];
  }

  /** The same for one whose record cannot be read, and so whose key is not known. */
  freeUnread(cursor: Cursor, offset: number): Place | undefined {
    for (const [topic, lanes] of this.byTopic) {
      for (const [key, lane] of lanes)
        if (isAt(lane[0], cursor, offset)) return this.free(topic, key, cursor, offset);
    }
    return undefined;
  }

  /** Leaves only what `keeps` holds for. Returns those that may go out now because the one before them went. */
  retain(keeps: (place: Place, isFirst: boolean) => boolean): Place[] {
    const freed: Place[] = [];
    for (const lanes of this.byTopic.values()) {
      for (const [key, lane] of lanes) {
        const kept = lane.filter((place, i) => keeps(place, i === 0));
        if (kept.length === 0) lanes.delete(key);
        else lanes.set(key, kept);
        if (kept[0] && kept[0] !== lane[0]) freed.push(kept[0]);
      }
    }
    return freed;
  }

  clear(): void {
    this.byTopic.clear();
  }
}

const isAt = (place: Place | undefined, cursor: Cursor, offset: number): boolean =>
  place !== undefined && place.cursor === cursor && place.offset === offset;
