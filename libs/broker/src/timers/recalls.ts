import { RecentMap } from '../recent-map.js';

/** Handles of so many recalls at least are remembered. */
const REMEMBERED_RECALLS = 100_000;
/** Stands for the topic where a log of version 0.1 does not name it. */
const ANY_TOPIC = -1;

/** As a snapshot holds it; the handle alone in logs of version 0.1. */
export type RecallFacts = [handle: string, topicId: number, position: number] | string;

/**
 * Handles of the timers that were taken back, by topic, with the journal position of the recall: repeating it gets the same
 * answer, because whoever asks again since the first answer was lost must not be told that the message is still to
 * come; and a half message that was prepared before it makes no timer any more when it is committed.
 */
export class Recalls {
  private readonly handles = new RecentMap<string, Map<number, number>>(REMEMBERED_RECALLS);

  get isEmpty(): boolean {
    return this.handles.isEmpty;
  }

  add(handle: string, topicId = ANY_TOPIC, position = 0): void {
    const byTopic = this.handles.get(handle) ?? new Map<number, number>();
    byTopic.set(topicId, position);
    this.handles.set(handle, byTopic);
  }

  /** Without a topic: whether it was taken back in any. */
  has(handle: string, topicId: number | undefined): boolean {
    return topicId === undefined
      ? this.handles.get(handle) !== undefined
      : this.positionOf(handle, topicId) !== undefined;
  }

  /** Where the journal has the recall of this handle; undefined when there was none. */
  positionOf(handle: string, topicId: number): number | undefined {
    const byTopic = this.handles.get(handle);
    return byTopic?.get(topicId) ?? byTopic?.get(ANY_TOPIC);
  }

  /** A new message has this handle: what became of an earlier one says nothing about it. */
  reused(handle: string, topicId: number): void {
    const byTopic = this.handles.get(handle);
    if (!byTopic) return;
    byTopic.delete(topicId);
    byTopic.delete(ANY_TOPIC);
    if (byTopic.size === 0) this.handles.delete(handle);
  }

  /** For a snapshot: the newest ones, oldest first. */
  newest(count: number): RecallFacts[] {
    return this.handles
      .newest(count)
      .flatMap(([handle, byTopic]) =>
        [...byTopic].map(([topicId, position]): RecallFacts => [handle, topicId, position]),
      );
  }
}
