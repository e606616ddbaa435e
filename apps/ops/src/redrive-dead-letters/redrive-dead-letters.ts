import { setTimeout as wait } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import type { RedriveFilter, RedriveResponse } from '#libs/contracts';
import { BROKER_PORT, type BrokerPort } from '#libs/messaging';
import { AlertWatch } from '../alerts/alert-watch.js';
import { DeadLetterStore, type DeadLetterRow } from '../collect-dead-letters/dead-letter-store.js';
import { deadLetterNotFound, deadLetterResolved } from '../domain/errors.js';
import { OPS_CONFIG, type OpsConfig } from '../ops.config.js';

/** One call redrives at most this many, and no more than its pace allows in this time: its answer comes within seconds. */
const MAX_PER_CALL = 1_000;
const MAX_SECONDS_PER_CALL = 5;

/**
 * Gives dead letters back to their groups, or drops them. The broker is told first and the row
 * follows: a crash in between leaves a row that says DEAD, the broker then answers that it no longer
 * has the letter, and the row is put right. The other way round a letter could be lost from sight.
 */
@Injectable()
export class RedriveDeadLetters {
  constructor(
    private readonly store: DeadLetterStore,
    @Inject(BROKER_PORT) private readonly broker: BrokerPort,
    private readonly alerts: AlertWatch,
    @Inject(OPS_CONFIG) private readonly config: OpsConfig,
  ) {}

  /** @throws {DomainError} `DEAD_LETTER_NOT_FOUND`, `DEAD_LETTER_RESOLVED`. */
  async redrive(id: string, actor: string): Promise<void> {
    if (!(await this.giveBack(await this.deadOne(id), actor))) throw deadLetterResolved(id);
    this.alerts.look();
  }

  /** @throws {DomainError} `DEAD_LETTER_NOT_FOUND`, `DEAD_LETTER_RESOLVED`. */
  async discard(id: string, actor: string): Promise<void> {
    const letter = await this.deadOne(id);
    const dropped = await this.broker.admin.discard(letter.group, letter.messageId);
    await this.store.resolve(letter, 'DISCARDED', { actor, detail: about(letter, dropped), done: dropped });
    if (!dropped) throw deadLetterResolved(id);
    this.alerts.look();
  }

  /** Oldest first, at the configured pace, so that the cause of their death is not met by a stampede. */
  async redriveAll(
    { filter, dryRun = false, ratePerSecond = this.config.REDRIVE_PER_SECOND }: RedriveFilter,
    actor: string,
  ): Promise<RedriveResponse> {
    if (dryRun) return { count: await this.store.count(filter) };
    const limit = Math.min(MAX_PER_CALL, ratePerSecond * MAX_SECONDS_PER_CALL);
    const letters = await this.store.oldest(filter, limit);
    const startedAt = performance.now();
    let count = 0;
    for (const [index, letter] of letters.entries()) {
      const dueInMs = (index * 1_000) / ratePerSecond - (performance.now() - startedAt);
      if (dueInMs > 1) await wait(dueInMs);
      if (await this.giveBack(letter, actor)) count += 1;
    }
    this.alerts.look();
    return { count, remaining: await this.store.count(filter) };
  }

  private async deadOne(id: string): Promise<DeadLetterRow> {
    const letter = await this.store.find(id);
    if (letter === null) throw deadLetterNotFound(id);
    if (letter.status !== 'DEAD') throw deadLetterResolved(id);
    return letter;
  }

  /**
   * False when the broker no longer had it; the row is put right all the same. What the broker gave back counts,
   * also when the letter has died again before the row could follow.
   */
  private async giveBack(letter: DeadLetterRow, actor: string): Promise<boolean> {
    const given = await this.broker.admin.redrive(letter.group, letter.messageId);
    await this.store.resolve(letter, 'REDRIVEN', { actor, detail: about(letter, given), done: given });
    return given;
  }
}

function about(letter: DeadLetterRow, done: boolean): string {
  const name = `${letter.group} ${letter.topic}.${letter.tag} ${letter.messageId}`;
  return done ? name : `${name}: the broker no longer had it`;
}
