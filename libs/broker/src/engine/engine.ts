import { MessagingError, type TopicOptions, deadLetterTopic, retryTopic } from '#libs/messaging/port';
import { AutomaticRedrives } from '../dead-letters/automatic-redrives.js';
import { LetterRetention } from '../dead-letters/letter-retention.js';
import { Redrives } from '../dead-letters/redrives.js';
import { Dispatcher } from '../groups/dispatcher.js';
import { Memberships } from '../groups/memberships.js';
import { passOverUndecodable } from '../groups/missing.js';
import { PendingAcks } from '../positions/pending-acks.js';
import { Leases } from '../groups/leases.js';
import { Settlements } from '../groups/settlements.js';
import type { BrokerHost, Problem } from '../host.js';
import { Ballast } from '../journal/ballast.js';
import type { Block } from '../journal/block.js';
import { readMark, writeMark } from '../journal/marks.js';
import { EntryType, MAX_ENTRY_BYTES } from '../journal/format.js';
import { type CommitObserver, Journal, type Out } from '../journal/journal.js';
import { knownDamage, setAside } from '../journal/quarantine.js';
import { type LostRange, recover, secure } from '../journal/recovery.js';
import { ReservedFiles } from '../journal/reserved-files.js';
import { Segments } from '../journal/segments.js';
import { Space } from '../journal/space.js';
import type { Flush, Partition, Topic } from '../topics/topics.js';
import { Sends } from '../producers/sends.js';
import { SequencedSends } from '../producers/sequenced-sends.js';
import { Timers } from '../timers/timers.js';
import { Trace } from '../trace/trace.js';
import { TraceWriter } from '../trace/trace-writer.js';
import { HalfMessages } from '../transactions/half-messages.js';
import { ProducerSessions } from '../transactions/producer-sessions.js';
import type { ResolvedOptions } from './options.js';
import { Retention } from './retention.js';
import { type LostOffsets, lostOffsets, settleLoss } from './lost-messages.js';
import { jsonOf, takeSnapshot } from './snapshot.js';
import { BrokerState } from './state.js';
import { Ticker, type TimedWork } from './ticker.js';

/**
 * The journal, the state that is folded from it, and what they do for each other: entries are written and
 * applied together, become visible with their commit, and wake the groups that wait for them.
 */
export class Engine implements BrokerHost, CommitObserver {
  readonly state: BrokerState;
  readonly trace: Trace;
  readonly space: Space;
  private traceWriter!: TraceWriter;
  readonly dispatcher: Dispatcher;
  readonly pendingAcks = new PendingAcks();
  readonly leases: Leases;
  readonly settlements: Settlements;
  readonly memberships: Memberships;
  readonly sends: Sends;
  readonly sequencedSends: SequencedSends;
  readonly timers: Timers;
  readonly halfMessages: HalfMessages;
  readonly producers = new ProducerSessions();
  readonly ticker: Ticker;
  readonly retention: Retention;
  readonly redrives: Redrives;
  readonly automaticRedrives: AutomaticRedrives;
  readonly letterRetention: LetterRetention;
  journal!: Journal;
  segments!: Segments;
  lost: readonly LostRange[] = [];
  private touchedPartitions: Partition[] = [];
  private recovering = true;

  readonly options: ResolvedOptions;

  private constructor(options: ResolvedOptions, ballast: Ballast) {
    this.options = { ...options, files: new ReservedFiles(options.files, ballast) };
    this.space = new Space({
      ...{ files: options.files, directory: options.dir, ballast },
      journal: () => this.journal,
      now: () => options.clock.now(),
      report: options.onProblem,
    });
    this.trace = new Trace(options.traceSteps);
    this.state = new BrokerState({
      deduplication: options.deduplication,
      transactions: options.transactions,
      timerHorizonMs: options.timerHorizonMs,
      now: () => options.clock.now(),
      wake: (group) => this.dispatcher.wake(group),
      touched: (partition) => this.touch(partition),
    });
    const journal = (): Journal => this.journal;
    this.dispatcher = new Dispatcher({
      get journal() {
        return journal();
      },
      trace: this.trace,
      now: () => options.clock.now(),
      monotonicMs: () => options.clock.monotonicMs(),
      noteUnderWay: (delivery) => this.leases.noteUnderWay(delivery),
      expired: (cursor, offset, message) => this.settlements.expire(cursor, offset, message),
      unwanted: (cursor, offset, last) => this.settlements.unwanted(cursor, offset, last),
      held: ({ group, partition: { topic, number } }, offset, error) =>
        options.onProblem({
          message: `${topic.name}/${number} offset ${offset} cannot be read; group ${group.name} stands there, and it is tried again`,
          error,
        }),
      undecodable: (cursor, offset, error) => passOverUndecodable(this, cursor, offset, error),
      pendingAcks: this.pendingAcks,
      dueAt: (atMs) => this.ticker.reconsider(atMs),
    });
    this.leases = new Leases(this, this.pendingAcks);
    this.settlements = new Settlements(this, this.pendingAcks, this.leases);
    this.memberships = new Memberships(this, this.state, this.leases);
    this.sends = new Sends(this, this.state);
    this.sequencedSends = new SequencedSends(this, this.state, this.sends);
    this.timers = new Timers(this, this.state);
    this.halfMessages = new HalfMessages(this, this.state, this.producers, options.transactions, () =>
      this.sends.newId(),
    );
    this.ticker = new Ticker(this, this.state, this.timedWork());
    this.retention = new Retention(this, this.state, options.retention);
    this.redrives = new Redrives(this, this.state.deadLetters);
    this.automaticRedrives = new AutomaticRedrives(this, this.state, this.redrives);
    this.letterRetention = new LetterRetention(this, this.state.deadLetters, options.deadLetters);
  }

  private timedWork(): TimedWork {
    return {
      fireTimers: () => void this.timers.fireDue(),
      leasesRanOut: (member, nowMs) => this.leases.ranOut(member, nowMs),
      forgetInterests: (group) => this.memberships.forgetInterests(group),
      askProducers: () => this.halfMessages.check(),
      dropOldLetters: () => this.letterRetention.enforce(),
      redriveByItself: () => this.automaticRedrives.look(),
      dropOldSegments: () => void this.retention.enforce(),
      lookAtSpace: () => this.space.reconsider(),
      writeTrace: () => (this.space.isShort ? void this.traceWriter.makeRoom() : this.traceWriter.write()),
    };
  }

  /** Recovers the journal of `options.dir`. */
  static async open(options: ResolvedOptions): Promise<Engine> {
    const { dir, onDamage } = options;
    const engine = new Engine(options, await Ballast.find(options.files, dir, options.reserveBytes));
    const { files } = engine.options;
    const segments = await Segments.list(files, `${dir}/journal`);
    const durableBefore = (await readMark(files, segments.directory, 'durable')) ?? 0;
    const startsAt = await readMark(files, segments.directory, 'start');
    const newestAt = await readMark(files, segments.directory, 'newest');
    const known = await knownDamage(files, dir);
    const recovered = await recover({
      files,
      segments,
      durableBefore,
      startsAt,
      newestAt,
      onDamage,
      knownDamage: known,
      onEntry: (entry) => engine.state.replay(entry),
      onLost: () => {
        engine.state.gap.isThere = true;
      },
    });
    const { end, lost, cut } = recovered;
    engine.lost = lost;
    if (cut && cut.to > cut.from) {
      options.onProblem({
        message: `cut a torn tail of ${cut.to - cut.from} bytes off ${cut.path} at position ${cut.from}`,
      });
    }
    engine.segments = segments;
    await secure(files, segments, recovered);
    if (startsAt === undefined) await engine.noteStart();
    await engine.quarantine(known, end);
    await engine.noteNewest();
    engine.journal = new Journal(
      segments,
      { ...engine.options, now: () => options.clock.now() },
      engine,
      end,
    );
    await engine.space.look();
    // By the bare files: what is kept free for the journal is not for the trace.
    engine.traceWriter = new TraceWriter(engine, engine.trace, options.files, dir);
    await engine.traceWriter.open(end);
    engine.start();
    return engine;
  }

  /** A journal that is new, or whose mark was lost: then nobody can tell whether it had begun earlier. */
  private async noteStart(): Promise<void> {
    const { files, onProblem } = this.options;
    const { all, directory } = this.segments;
    const start = all[0]?.base ?? 0;
    if (start > 0) {
      onProblem({
        message: `${directory} begins at position ${start}, and its mark "start" is not there to say whether that is all`,
      });
    }
    await writeMark(files, directory, 'start', start);
  }

  /** A process that died may have begun a segment that the mark does not tell of yet; or the segment that it tells of was left out. */
  private async noteNewest(): Promise<void> {
    const { files } = this.options;
    const { newest, directory } = this.segments;
    const before = await readMark(files, directory, 'newest');
    if ((newest?.base ?? -1) === (before ?? -1)) return;
    await files.syncDirectory(directory);
    await writeMark(files, directory, 'newest', newest?.base ?? -1);
  }

  /** Sets aside what recovery left out and was not known before; from then on it is known to be lost. */
  private async quarantine(known: ReadonlyMap<number, number>, end: number): Promise<void> {
    const { files, dir, onProblem } = this.options;
    for (const range of this.lost) {
      const { path, from, to } = range;
      onProblem({ message: `left out damaged bytes of ${path}, positions ${from} to ${to}` });
      if (known.has(from)) continue;
      await setAside(files, dir, range, this.segments.at(from)?.base ?? from);
    }
    // A mark beyond the end would have the next start miss the same bytes again.
    if (this.lost.length > 0) await writeMark(files, this.segments.directory, 'durable', end);
  }

  /** Which messages are missing because their bytes were damaged. */
  get lostOffsets(): LostOffsets[] {
    return this.state.gap.isThere ? lostOffsets(this.state) : [];
  }

  private start(): void {
    if (this.state.gap.isThere) this.reportLoss();
    this.recovering = false;
    for (const topic of this.state.topics.all()) {
      for (const partition of topic.partitions) partition.visibleEnd = partition.end;
    }
    for (const group of this.state.groups.all()) {
      for (const cursor of group.cursors.values()) {
        cursor.next = cursor.settled.committed;
        cursor.endAtStart = cursor.partition.end;
      }
    }
    this.state.recentIds.start(this.now());
    this.state.timers.start(this.now());
    this.ticker.start();
  }

  private reportLoss(): void {
    const { state, options } = this;
    settleLoss(state);
    for (const { topic, partition, from, to } of this.lostOffsets) {
      options.onProblem({ message: `${topic}/${partition}: offsets ${from} to ${to - 1} are lost` });
    }
    if (state.gap.unplaced === 0) return;
    options.onProblem({
      message: `${state.gap.unplaced} entries or messages name a topic or group that was made in a damaged range; they are left out`,
    });
  }

  now(): number {
    return this.options.clock.now();
  }

  /** What leases are counted in. */
  monotonicMs(): number {
    return this.options.clock.monotonicMs();
  }

  /**
   * Writes one entry and applies it. `write` adds its records, at most `recordBytes` of them; it must not
   * write other entries.
   */
  commit(
    type: EntryType,
    facts: unknown,
    recordBytes = 0,
    write?: (out: Out) => void,
    text = JSON.stringify(facts),
  ): void {
    const { journal } = this;
    const out = journal.begin(type, Buffer.byteLength(text) + recordBytes);
    journal.facts(text);
    const from = out.start + out.at;
    write?.(out);
    const to = out.start + out.at;
    journal.finish();
    this.state.apply(type, facts, journal.current, from, to);
    journal.kick();
  }

  /** The topic, made now if it is not there. */
  topic(name: string, options: TopicOptions = {}): Topic {
    const known = this.state.topics.get(name);
    if (known) return known;
    this.space.admit(0);
    return this.makeTopic(name, options);
  }

  private makeTopic(name: string, options: TopicOptions): Topic {
    const { topics } = this.state;
    this.commit(
      EntryType.TOPIC_CREATED,
      topics.plan(name, { ...options, flush: options.flush ?? this.options.flush }),
    );
    const created = topics.require(name);
    for (const group of this.state.groups.everyone())
      if (group.wants(created)) this.memberships.follow(group, [created]);
    return created;
  }

  /** Where a group's failed messages go. Visible once written: what is in it was taken off another place in the same entry. */
  internalTopic(kind: 'retry' | 'dead-letter', group: string): Topic {
    const name = kind === 'retry' ? retryTopic(group) : deadLetterTopic(group);
    // Also while the disk is nearly full: a message that moves there is settled where it was.
    return this.state.topics.get(name) ?? this.makeTopic(name, { partitions: 1, flush: 'async' });
  }

  private touch(partition: Partition): void {
    if (this.recovering) return;
    if (partition.topic.flush === 'sync') this.journal.wantSync();
    if (partition.touched) return;
    partition.touched = true;
    this.touchedPartitions.push(partition);
  }

  /** Begins a group commit: acks that have gathered go with it, and its messages are noted to become visible. */
  startCommit(): { written(): void; durable(): void } {
    this.pendingAcks.record(this.journal);
    const advances = this.touchedPartitions.map((partition) => ({ partition, end: partition.end }));
    this.touchedPartitions = [];
    for (const { partition } of advances) partition.touched = false;
    const show = (flush: Flush): void => {
      for (const { partition, end } of advances) {
        if (partition.topic.flush !== flush) continue;
        partition.visibleEnd = end;
        for (const listener of partition.listeners) listener.advanced();
      }
    };
    return { written: () => show('async'), durable: () => show('sync') };
  }

  failed(error: MessagingError): void {
    this.options.onProblem({ message: error.message, error });
  }

  mayGrow(bytes: number): boolean {
    return this.space.fits(bytes);
  }

  firstEntry(): { bodyBytes: number; write: () => void } {
    const snapshot = takeSnapshot(this.state);
    const text = jsonOf(snapshot);
    if (text === undefined) return { bodyBytes: MAX_ENTRY_BYTES, write: () => undefined };
    const write = (): void => this.commit(EntryType.SNAPSHOT, snapshot, 0, undefined, text);
    return { bodyBytes: Buffer.byteLength(text), write };
  }

  firstEntryTooLong(): void {
    this.options.onProblem({
      message: `no new segment: its snapshot would be longer than ${MAX_ENTRY_BYTES} bytes. The old one goes on and cannot be dropped; fewer dead letters, and messages that wait in an ordered group, make it shorter`,
    });
  }

  /** Something will be due then: the next tick may have to come sooner. */
  dueAt(dueAtMs: number): void {
    this.ticker.reconsider(dueAtMs);
  }

  report(problem: Problem): void {
    this.options.onProblem(problem);
  }

  /** Writes what is left and closes the files. */
  async close(): Promise<void> {
    this.ticker.stop();
    this.redrives.stop();
    await this.timers.stop();
    await this.retention.idle();
    await this.space.idle();
    try {
      await this.journal.close();
    } finally {
      await this.traceWriter.close();
    }
    if (!this.journal.failed) {
      await writeMark(this.options.files, this.segments.directory, 'durable', this.journal.durable);
    }
  }

  /** The block that holds the record at `position`, from memory or file. */
  load(position: number): Promise<Block> {
    return this.journal.load(position);
  }
}
