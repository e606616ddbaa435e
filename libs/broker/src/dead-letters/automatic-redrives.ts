import type { AutomaticRedrive } from '#libs/messaging/port';
import { BROKER } from '../audit/audit.js';
import type { Group } from '../groups/group.js';
import type { Groups } from '../groups/groups.js';
import type { BrokerHost } from '../host.js';
import type { DeadLetters, Letter } from './dead-letters.js';
import type { Redrives } from './redrives.js';

/** How often dead letters are looked at. */
const EVERY_MS = 1_000;
/** Redrives of one group within this time are told as one act in the audit. */
const TOLD_EVERY_MS = 3_600_000;
const DEFAULT_MAX_PER_MESSAGE = 3;
const DEFAULT_PER_SECOND = 10;

/**
 * Gives dead letters back by itself when the world was at fault and has had time to recover: what a group's members
 * asked for as `Subscription.automaticRedrive`. How often that happened to a message is part of its record,
 * and so survives whatever the broker does not.
 */
export class AutomaticRedrives {
  private lookedAtMs = 0;
  private readonly running = new Set<Group>();

  constructor(
    private readonly host: BrokerHost,
    private readonly stores: { readonly groups: Groups; readonly deadLetters: DeadLetters },
    private readonly redrives: Redrives,
  ) {}

  /** Begins what is due. */
  look(): void {
    const now = this.host.now();
    if (Math.abs(now - this.lookedAtMs) < EVERY_MS || this.host.space.isShort) return;
    this.lookedAtMs = now;
    for (const group of this.stores.groups.all()) {
      const { automaticRedrive } = group;
      if (!automaticRedrive || group.members.length === 0 || this.running.has(group)) continue;
      const due = this.dueOf(group, automaticRedrive, now);
      if (due.length === 0) continue;
      this.running.add(group);
      void this.give(group, due, automaticRedrive, now).finally(() => this.running.delete(group));
    }
  }

  /** As many as the pace allows until it is looked at again, oldest first. */
  private dueOf(
    group: Group,
    { coolDownMs, maxPerMessage = DEFAULT_MAX_PER_MESSAGE, ratePerSecond }: AutomaticRedrive,
    now: number,
  ): Letter[] {
    const most = ratePerSecond ?? DEFAULT_PER_SECOND;
    const due: Letter[] = [];
    for (const letter of this.stores.deadLetters.live(group.name)) {
      const { atMs, cause, automaticRedrives } = letter;
      if (due.length >= most || atMs > now - coolDownMs) break;
      const isTransient = cause.reason === 'retries-exhausted' && cause.kind === 'transient';
      if (isTransient && automaticRedrives < maxPerMessage) due.push(letter);
    }
    return due;
  }

  private async give(
    { name: group }: Group,
    due: readonly Letter[],
    { ratePerSecond: perSecond = DEFAULT_PER_SECOND }: AutomaticRedrive,
    now: number,
  ): Promise<void> {
    const run = `automatic ${group} ${Math.floor(now / TOLD_EVERY_MS)}`;
    const note = { by: BROKER, action: 'automatic-redrive', group, run } as const;
    const pace = { perSecond, limit: due.length, forMs: EVERY_MS };
    await this.redrives.giveAll(group, due, pace, note).catch((error: unknown) =>
      this.host.report({
        message: `dead letters of ${group} could not be given back; tried again`,
        error,
      }),
    );
  }
}
