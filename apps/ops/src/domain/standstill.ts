import type { GroupInfo } from '#libs/messaging';
import type { Breach } from './alert.js';

/** Longer than a restart of what handlers need, shorter than buyers wait. */
export const STANDSTILL_MS = 300_000;
export const STANDSTILL_PREFIX = 'standstill:';

type Standing = { done: number; sinceMs: number };

/**
 * Finds groups that have work and get none of it done: paused because what they need is away, or because of one message
 * that always says so and has nobody beside it to prove it wrong; hanging; or without a member. Messages that wait for
 * their next try are no sign of it: they get through or become dead letters.
 */
export class Standstills {
  private standing = new Map<string, Standing>();

  /**
   * @param nowMs of a clock that is never set back
   * @param firingNames what fires already. Who has just started takes its word for it: a group that stands still has not begun
   *   to work because ops was started anew, or has a second process.
   */
  observe(groups: readonly GroupInfo[], nowMs: number, firingNames: readonly string[] = []): Breach[] {
    const standing = new Map<string, Standing>();
    const breaches = groups.flatMap((info) => {
      const { group, lag, retrying, members } = info;
      if (lag <= retrying) return [];
      const done = doneBy(info);
      const before = this.standing.get(group);
      const isKnown = before === undefined && firingNames.includes(STANDSTILL_PREFIX + group);
      const firstMs = isKnown ? nowMs - STANDSTILL_MS : nowMs;
      const sinceMs = before?.done === done ? before.sinceMs : firstMs;
      standing.set(group, { done, sinceMs });
      if (nowMs - sinceMs < STANDSTILL_MS) return [];
      const minutes = Math.floor((nowMs - sinceMs) / 60_000);
      return {
        name: STANDSTILL_PREFIX + group,
        detail: `${group} has ${lag} messages and ${members.length} members, and has settled none for ${minutes} min`,
        count: lag,
        threshold: 1,
      };
    });
    this.standing = standing;
    return breaches;
  }
}

const doneBy = ({ acked, deadLetters, positions }: GroupInfo): number =>
  acked + deadLetters + positions.reduce((sum, { committedOffset }) => sum + committedOffset, 0);
