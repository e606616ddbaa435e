import { setTimeout as sleep } from 'node:timers/promises';
import { isStaleLeader, kafkaErrorType } from './failures.js';
import type { Committed, MembershipOptions, Place } from './kafka-client.js';
import type { LogReader } from './log-reader.js';
import { keyOf } from './places.js';

/** A node holds a fetch back for so long while it has nothing; a partition that is resumed meanwhile waits for it. */
const FETCH_WAIT_MS = 100;
/** After a fetch that failed. */
const PAUSE_MS = 200;

type Position = { place: Place; offset: number; paused: boolean };

type Options = Pick<MembershipOptions, 'onRecords' | 'onGap' | 'maxFetchBytes'>;

/**
 * Fetches the partitions of one generation: from each node what it leads, one request at a time per node and all nodes side by
 * side. Never waits for what becomes of the records.
 */
export class PartitionFetcher {
  private readonly positions = new Map<string, Position>();
  private stopped = false;
  private wake: () => void = () => undefined;

  constructor(
    private readonly reader: LogReader,
    starts: readonly Committed[],
    private readonly options: Options,
    /** A topic is gone: the partitions have to be divided anew. */
    private readonly topicGone: () => void,
  ) {
    for (const { topic, partition, offset } of starts) {
      const place = { topic, partition };
      this.positions.set(keyOf(place), { place, offset, paused: false });
    }
  }

  pause(place: Place): void {
    const position = this.positions.get(keyOf(place));
    if (position !== undefined) position.paused = true;
  }

  resume(place: Place): void {
    const position = this.positions.get(keyOf(place));
    if (position === undefined || !position.paused) return;
    position.paused = false;
    this.wake();
  }

  stop(): void {
    this.stopped = true;
    this.wake();
  }

  /** Resolves after `stop`. Never rejects: what fails is tried again. */
  async run(): Promise<void> {
    const busy = new Map<number, Promise<void>>();
    while (!this.stopped) {
      const woken = new Promise<void>((resolve) => (this.wake = resolve));
      for (const [nodeId, wanted] of this.wantedByNode()) {
        if (busy.has(nodeId)) continue;
        busy.set(
          nodeId,
          this.fetchFrom(nodeId, wanted).finally(() => busy.delete(nodeId)),
        );
      }
      await Promise.race([woken, ...busy.values()]);
    }
  }

  private wantedByNode(): Map<number, Position[]> {
    const wanted = new Map<number, Position[]>();
    for (const position of this.positions.values()) {
      if (position.paused) continue;
      // -1 stands for a partition without a leader: asked for nowhere, until its metadata is read anew.
      const leader = this.reader.leaderOf(position.place) ?? -1;
      const ofNode = wanted.get(leader) ?? [];
      wanted.set(leader, ofNode);
      ofNode.push(position);
    }
    return wanted;
  }

  private async fetchFrom(nodeId: number, wanted: readonly Position[]): Promise<void> {
    try {
      if (nodeId < 0) throw new Error('no leader');
      const asked = wanted.map(({ place, offset }) => ({ place, offset }));
      const bounds = { waitMs: FETCH_WAIT_MS, maxBytes: this.options.maxFetchBytes };
      for (const { place, from, result } of await this.reader.fetch(nodeId, asked, bounds)) {
        const position = this.positions.get(keyOf(place));
        if (this.stopped || position?.offset !== from || result.nextOffset === from) continue;
        position.offset = result.nextOffset;
        this.options.onRecords(place, result);
      }
    } catch (error) {
      await this.recover(error, wanted);
    }
  }

  private async recover(error: unknown, wanted: readonly Position[]): Promise<void> {
    try {
      if (kafkaErrorType(error) === 'OFFSET_OUT_OF_RANGE') return await this.skipWhatIsGone(wanted);
      if (kafkaErrorType(error) === 'UNKNOWN_TOPIC_OR_PARTITION') return this.topicGone();
      if (!isStaleLeader(error)) await sleep(PAUSE_MS);
      await this.reader.cluster.connect();
      await this.reader.cluster.refreshMetadata();
    } catch (again) {
      if (kafkaErrorType(again) === 'UNKNOWN_TOPIC_OR_PARTITION') return this.topicGone();
      await sleep(PAUSE_MS);
    }
  }

  /** Retention was faster than the group. Behind the end (records were lost, or the topic was made anew) reading begins at the end. */
  private async skipWhatIsGone(wanted: readonly Position[]): Promise<void> {
    for (const topic of new Set(wanted.map(({ place }) => place.topic))) {
      const own = wanted.filter(({ place }) => place.topic === topic);
      const partitions = own.map(({ place }) => place.partition);
      const earliest = await this.reader.offsets(topic, 'earliest', partitions);
      const latest = await this.reader.offsets(topic, 'latest', partitions);
      for (const position of own) {
        const from = position.offset;
        const first = earliest.get(position.place.partition) ?? 0;
        const end = latest.get(position.place.partition) ?? 0;
        position.offset = Math.min(Math.max(from, first), end);
        if (position.offset !== from) this.options.onGap(position.place, from, position.offset);
      }
    }
  }
}
