import { setTimeout as sleep } from 'node:timers/promises';
import {
  DEAD_LETTER_REASONS,
  type DeadLetter,
  type DeadLetterEdit,
  type DeadLetterFilter,
  MessagingError,
  type RedriveOptions,
  type RedriveReport,
  checkBody,
  checkHeaders,
  retryTopic,
} from '#libs/messaging/port';
import type { Audit } from '../admin/audit.js';
import type { KafkaClient } from '../client/kafka-client.js';
import { carry } from '../sending/records.js';
import type { TopicCatalog } from '../topic-catalog.js';
import { kafkaTopicOf } from '../topic-names.js';
import { LetterLog, matches } from './letter-log.js';
import { editedRecord, tombstone } from './letters.js';

const DEFAULT_LIST = 1_000;
const MAX_LIST = 10_000;
/** Of one answer, bodies; one letter at least. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
/** One call redrives for so long at the most. */
const MAX_CALL_MS = 2_000;
const DEFAULT_RATE = 100;

type Letter = DeadLetter & { key: string };

/** What operators do with dead letters. A redrive is written to the group's retry topic, then the letter's tombstone. */
export class DeadLetters {
  private readonly logs = new Map<string, LetterLog>();
  /** One act at a time for a group: two calls never give one letter twice. */
  private readonly acting = new Map<string, Promise<unknown>>();

  constructor(
    private readonly client: KafkaClient,
    private readonly catalog: TopicCatalog,
    private readonly audit: Audit,
  ) {}

  async list(group: string, { limit = DEFAULT_LIST, afterOffset = -1 } = {}): Promise<DeadLetter[]> {
    const page: DeadLetter[] = [];
    let bytes = 0;
    for (const { key: _, ...letter } of await this.all(group)) {
      if (letter.offset <= afterOffset) continue;
      bytes += letter.message.body.byteLength;
      if (page.length > 0 && bytes > MAX_ANSWER_BYTES) break;
      if (page.push(letter) >= Math.min(limit, MAX_LIST)) break;
    }
    return page;
  }

  async count(group: string): Promise<number> {
    return (await this.all(group)).length;
  }

  forget(group: string): void {
    this.logs.delete(group);
  }

  redrive(group: string, id: string): Promise<boolean> {
    return this.act(group, async () => {
      const letter = await this.find(group, id);
      if (letter === undefined) return false;
      await this.giveBack(letter);
      await this.audit.add({ action: 'redrive', group, subject: id, count: 1 });
      return true;
    });
  }

  discard(group: string, id: string): Promise<boolean> {
    return this.act(group, async () => {
      const letter = await this.find(group, id);
      if (letter === undefined) return false;
      await this.client.append([tombstone(group, letter.key)]);
      await this.audit.add({ action: 'discard', group, subject: id, count: 1 });
      return true;
    });
  }

  async edit(group: string, id: string, edit: DeadLetterEdit): Promise<boolean> {
    if (edit.body === undefined && edit.headers === undefined)
      throw new MessagingError('INVALID_ARGUMENT', 'an edit has a body, headers or both');
    if (edit.body !== undefined) checkBody(edit.body);
    if (edit.headers !== undefined) checkHeaders(edit.headers);
    return this.act(group, async () => {
      const letter = await this.find(group, id);
      if (letter === undefined) return false;
      await this.client.append([editedRecord(letter, edit)]);
      const changed = Object.keys(edit).sort().join(', ');
      await this.audit.add({ action: 'edit-dead-letter', group, subject: `${id} ${changed}`, count: 1 });
      return true;
    });
  }

  async redriveAll(
    group: string,
    filter: DeadLetterFilter,
    { dryRun = false, ratePerSecond = DEFAULT_RATE, limit = MAX_LIST }: RedriveOptions,
  ): Promise<RedriveReport> {
    if (filter.reason !== undefined && !DEAD_LETTER_REASONS.includes(filter.reason))
      throw new MessagingError('INVALID_ARGUMENT', `there is no reason ${String(filter.reason)}`);
    checkNumber('ratePerSecond', ratePerSecond, 10_000);
    checkNumber('limit', limit, MAX_LIST);
    const all = await this.all(group);
    const wanted = all.filter((letter) => matches(letter, filter)).slice(0, limit);
    const report = { matched: wanted.length, redriven: 0, remaining: wanted.length };
    const upToOffset = filter.upToOffset ?? all.at(-1)?.offset ?? -1;
    if (dryRun) return { ...report, upToOffset };
    return this.act(group, async () => {
      const there = new Set((await this.all(group)).map(({ key }) => key));
      const left = wanted.filter(({ key }) => there.has(key));
      const startedMs = performance.now();
      for (const [index, letter] of left.entries()) {
        const dueMs = startedMs + (index * 1_000) / ratePerSecond;
        if (dueMs - startedMs > MAX_CALL_MS) break;
        await sleep(Math.max(0, dueMs - performance.now()));
        await this.giveBack(letter);
        report.redriven++;
      }
      if (report.redriven > 0)
        await this.audit.add({
          action: 'redrive-all',
          group,
          subject: JSON.stringify(filter),
          count: report.redriven,
        });
      return { ...report, remaining: left.length - report.redriven, upToOffset };
    });
  }

  private all(group: string): Promise<Letter[]> {
    let log = this.logs.get(group);
    if (log === undefined) this.logs.set(group, (log = new LetterLog(this.client, group)));
    return log.all();
  }

  private async find(group: string, id: string): Promise<Letter | undefined> {
    return (await this.all(group)).find((letter) => letter.id === id);
  }

  private async giveBack({ group, key, message, attempts, automaticRedrives }: Letter): Promise<void> {
    const topic = kafkaTopicOf(retryTopic(group));
    const partitions = await this.catalog.existing(topic);
    // A message that never had a place comes back in the first one.
    const partition = Math.max(0, message.partition) % partitions;
    const tries = { attempt: 1, history: attempts, automaticRedrives };
    await this.client.append([carry(message, { topic, partition }, { tries })]);
    await this.client.append([tombstone(group, key)]);
  }

  private act<T>(group: string, work: () => Promise<T>): Promise<T> {
    const result = (this.acting.get(group) ?? Promise.resolve()).then(work);
    this.acting.set(
      group,
      result.catch(() => undefined),
    );
    return result;
  }
}

function checkNumber(name: string, value: number, max: number): void {
  if (Number.isFinite(value) && value >= 1 && value <= max) return;
  throw new MessagingError('INVALID_ARGUMENT', `${name}: from 1 to ${max}, not ${value}`);
}
