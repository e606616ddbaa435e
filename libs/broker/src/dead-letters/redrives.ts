import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import {
  DEAD_LETTER_REASONS,
  type DeadLetter,
  type DeadLetterFilter,
  MessagingError,
  type RedriveOptions,
  type RedriveReport,
  deadLetterTopic,
} from '#libs/messaging/port';
import { AnswerBudget } from '../answer-budget.js';
import type { AuditNote } from '../audit/audit.js';
import { bounded } from '../groups/consumer.js';
import type { BrokerHost } from '../host.js';
import { EntryType } from '../journal/format.js';
import { encodeProvenance } from '../topics/provenance.js';
import { type DecodedRecord, readRecord } from '../topics/read-message.js';
import { DEFAULT_PRIORITY } from '../topics/record.js';
import { maxRecordBytes, writeRecord } from '../topics/write-record.js';
import { Actor } from '../trace/actors.js';
import type { DeadLetters, Letter } from './dead-letters.js';

const DEFAULT_PER_SECOND = 100;
const MAX_PER_SECOND = 10_000;
/** Most letters of one call of `redriveAll`. */
const MAX_PER_CALL = 10_000;
/** And its longest time: far below what a client waits for an answer. */
const MAX_CALL_MS = 2_000;

type LetterReads = Pick<BrokerHost, 'load'>;

/** A group's live dead letters behind an offset of its dead-letter topic, oldest first, as many as fit into one answer. */
export async function listDeadLetters(
  host: LetterReads,
  deadLetters: DeadLetters,
  group: string,
  afterOffset: number,
  limit: number,
): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  const budget = new AnswerBudget();
  for (const letter of [...deadLetters.live(group)]) {
    if (letters.length >= limit) break;
    if (letter.offset <= afterOffset) continue;
    const { message, ...about } = await describe(host, group, letter);
    const { body, ...rest } = message;
    if (!budget.take(body.byteLength, { ...about, ...rest })) break;
    letters.push({ ...about, message });
  }
  return letters;
}

/** What there is to tell of a letter. One that cannot be read is told by what is known without it, and can be discarded. */
async function describe(host: LetterReads, group: string, letter: Letter): Promise<DeadLetter> {
  const { id, offset, cause, automaticRedrives, origin, atMs } = letter;
  try {
    const { message, provenance } = await readLetter(host, group, letter);
    if (!provenance?.deadLetter)
      throw new MessagingError('LOG_CORRUPT', 'its record does not say of what it died');
    const { atMs: deadAtMs, ...why } = provenance.deadLetter;
    const about = { id, offset, ...why, automaticRedrives, attempts: provenance.history, deadAtMs };
    return { ...about, message: { ...message, ...provenance.origin } };
  } catch (failure) {
    const error = `it cannot be read: ${failure instanceof Error ? failure.message : String(failure)}`;
    const { topic, tag, reason, kind } = cause;
    const times = { bornAtMs: atMs, storedAtMs: atMs };
    const rest = { key: undefined, headers: {}, body: Buffer.alloc(0), priority: DEFAULT_PRIORITY };
    const about = { id, offset, group, reason, ...(kind && { kind }), error, automaticRedrives };
    return {
      ...about,
      attempts: [],
      deadAtMs: atMs,
      message: { id, topic, tag, ...origin, ...times, ...rest },
    };
  }
}

export async function readLetter(
  host: LetterReads,
  group: string,
  { position }: Letter,
): Promise<DecodedRecord> {
  return readRecord(await host.load(position), position, deadLetterTopic(group));
}

/** Gives dead letters back to their groups, or drops them. */
export class Redrives {
  /** By group: when the next letter may go. */
  private readonly nextAtMs = new Map<string, number>();
  private stopped = false;

  constructor(
    private readonly host: BrokerHost,
    private readonly deadLetters: DeadLetters,
  ) {}

  /** Ends what is under way between two letters. */
  stop(): void {
    this.stopped = true;
  }

  /** Gives one back, as a first attempt with its history: the oldest, should several messages of that id be dead. False when there is none. */
  async redrive(group: string, id: string, by: string): Promise<boolean> {
    const letter = this.deadLetters.find(group, id);
    if (!letter) return false;
    this.host.space.admit(0);
    const note = { ...this.noteOf(by, group), action: 'redrive', subject: id } as const;
    const given = await this.give(group, letter, note);
    await this.host.journal.flush('durable');
    return given;
  }

  /** See `BrokerAdmin.redriveAll`. @throws {MessagingError} `INVALID_ARGUMENT` */
  async redriveAll(
    group: string,
    filter: DeadLetterFilter,
    options: RedriveOptions,
    by: string,
  ): Promise<RedriveReport> {
    checkFilter(filter);
    const perSecond = bounded('ratePerSecond', options.ratePerSecond ?? DEFAULT_PER_SECOND, MAX_PER_SECOND);
    const limit = bounded('limit', options.limit ?? MAX_PER_CALL, MAX_PER_CALL);
    const { deadLetters } = this;
    const all = deadLetters.matching(group, filter);
    const upToOffset = filter.upToOffset ?? all.at(-1)?.offset ?? -1;
    const matched = all.length;
    if (options.dryRun === true) return { matched, redriven: 0, remaining: matched, upToOffset };
    this.host.space.admit(0);
    const note = {
      ...this.noteOf(by, group),
      action: 'redrive-all',
      subject: JSON.stringify(filter),
      run: randomUUID(),
    } as const;
    const redriven = await this.giveAll(group, all, { perSecond, limit, forMs: MAX_CALL_MS }, note);
    await this.host.journal.flush('durable');
    const remaining = deadLetters.matching(group, { ...filter, upToOffset }).length;
    return { matched, redriven, remaining, upToOffset };
  }

  /** Gives letters back one after the other, at the group's pace; the answer is how many were. */
  async giveAll(
    group: string,
    letters: Iterable<Letter>,
    { perSecond, limit, forMs }: { perSecond: number; limit: number; forMs: number },
    note: Omit<AuditNote, 'atMs'>,
  ): Promise<number> {
    const endsAtMs = performance.now() + forMs;
    let given = 0;
    for (const letter of letters) {
      const { id, offset } = letter;
      if (given >= limit || this.host.space.isShort) break;
      if (this.deadLetters.find(group, id, offset) !== letter) continue;
      if (!(await this.turn(group, perSecond, endsAtMs))) break;
      try {
        if (await this.give(group, letter, { ...note, atMs: this.host.now() })) given += 1;
      } catch (error) {
        if (this.stopped || this.host.journal.failed) throw error;
        // It stays where it is; those behind it need not wait for it.
        this.host.report({ message: `dead letter ${id} of ${group} could not be given back`, error });
      }
    }
    return given;
  }

  /** Waits for the group's next turn. False when none comes in time. */
  private async turn(group: string, perSecond: number, endsAtMs: number): Promise<boolean> {
    const nowMs = performance.now();
    const turnAtMs = Math.max(nowMs, this.nextAtMs.get(group) ?? 0);
    if (turnAtMs > endsAtMs) return false;
    this.nextAtMs.set(group, turnAtMs + 1_000 / perSecond);
    if (turnAtMs - nowMs >= 1) await wait(turnAtMs - nowMs);
    return !this.stopped;
  }

  /** In one entry it leaves the one place and enters the other. */
  private async give(group: string, letter: Letter, audit: AuditNote): Promise<boolean> {
    const { host } = this;
    const { id, offset, position } = letter;
    const { message, provenance } = await readLetter(host, group, letter);
    // Again, because somebody may have redriven or discarded it while it was read.
    if (!provenance || this.stopped || this.deadLetters.find(group, id, offset) !== letter) return false;
    // It was edited while it was read.
    if (letter.position !== position) return this.give(group, letter, audit);
    const topic = host.internalTopic('retry', group);
    const partition = topic.partitions[0]!;
    const now = host.now();
    const automaticRedrives = letter.automaticRedrives + (audit.action === 'automatic-redrive' ? 1 : 0);
    const { origin, history } = provenance;
    const encodedProvenance = encodeProvenance({ origin, attempt: 0, history, automaticRedrives });
    const bytes = maxRecordBytes(message) + encodedProvenance.byteLength;
    host.commit(EntryType.REDRIVEN, { group, id, offset, audit }, bytes, (out) => {
      const place = { topicId: topic.id, partition: partition.number, offset: partition.end };
      writeRecord(
        out,
        { ...message, ...place, storedAtMs: now, deliverAtMs: 0, ttlMs: 0 },
        encodedProvenance,
      );
    });
    host.trace.add(id, 'redriven', now, new Actor(group));
    return true;
  }

  /** Drops a dead letter, the oldest with this id, for good; its bytes go when their segment goes. */
  async discard(group: string, id: string, by: string): Promise<boolean> {
    const { host } = this;
    const letter = this.deadLetters.find(group, id);
    if (!letter) return false;
    const audit: AuditNote = { ...this.noteOf(by, group), action: 'discard', subject: id };
    host.commit(EntryType.DISCARDED, { group, id, offset: letter.offset, audit });
    host.trace.add(id, 'discarded', host.now(), new Actor(group));
    await host.journal.flush('durable');
    return true;
  }

  private noteOf(by: string, group: string): Pick<AuditNote, 'atMs' | 'by' | 'group'> {
    return { atMs: this.host.now(), by, group };
  }
}

function checkFilter({ reason }: DeadLetterFilter): void {
  if (reason === undefined || DEAD_LETTER_REASONS.includes(reason)) return;
  throw new MessagingError('INVALID_ARGUMENT', `no dead-letter reason ${JSON.stringify(reason)}`);
}
