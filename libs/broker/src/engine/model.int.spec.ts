import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { DeadLetter, GroupInfo } from '#libs/messaging/port';
import type { RawDelivery } from '../session.js';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  until,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';
import { HORIZON_MS } from '../timers/far-timers.js';
import type { EmbeddedBroker } from './embedded-broker.js';

/** One step of a run; numbers choose among what is there by their remainder. */
type Command =
  | { do: 'send'; keys: number[]; delayMs: number; tag: string }
  | { do: 'join'; tags: readonly string[] }
  | { do: 'ack' | 'retry' | 'bury'; which: number; delayMs: number }
  | { do: 'transact'; keys: number[]; commit: boolean }
  | { do: 'pass'; ms: number }
  | { do: 'redrive' | 'redrive-all' | 'restart' | 'kill' | 'power-cut' | 'leave' | 'reorder' };

/** So few that retention drops some in most runs. */
const MAX_DEAD_LETTERS = 2;
/** `MODEL_RUNS=2000` for a long run. */
const RUNS = Number(process.env['MODEL_RUNS'] ?? 40);

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      keys: fc.array(fc.nat(3), { minLength: 1, maxLength: 4 }),
      delayMs: fc.constantFrom(0, 0, 0, 50),
      tag: fc.constantFrom('a', 'a', 'b'),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constantFrom('ack' as const, 'ack' as const, 'retry' as const, 'bury' as const),
      which: fc.nat(20),
      delayMs: fc.constantFrom(0, 30),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('transact' as const),
      keys: fc.array(fc.nat(3), { minLength: 1, maxLength: 3 }),
      commit: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 60, 2_000) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('join' as const),
      tags: fc.constantFrom(['a'], ['b'], ['a', 'b'], []),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'redrive' as const,
        'redrive-all' as const,
        'restart' as const,
        'kill' as const,
        'power-cut' as const,
        'leave' as const,
        'reorder' as const,
      ),
    }),
  },
);

/** With the nearer one, whatever is delayed or retried later is read back before it is due. */
const horizonMs = fc.constantFrom(HORIZON_MS, 20);

/** Beside the first one. */
const MAX_MEMBERS = 3;

/** A member, and the tags that it takes; none: all. */
type Member = { client: EngineClient; tags: readonly string[] };

/** The broker under test beside what must hold: a set of ids is all the model there is. */
class Run {
  private broker!: EmbeddedBroker;
  /** The members, of which the first one takes all; it is not always there. */
  private members: Member[] = [];
  private files = new MemoryFiles();
  private readonly clock = new ManualClock();
  private sent = 0;
  /** Answered with a receipt, in sending order, by key. */
  private readonly acknowledged: { id: string; key: string; delayed: boolean }[] = [];
  private readonly everSent = new Set<string>();
  private readonly rolledBack = new Set<string>();
  /** Settled for good, unless a power cut takes the record of it. */
  private readonly done = new Set<string>();
  private readonly everDone = new Set<string>();
  /** Retried while the group had no order: such a message is stored anew, behind the others of its key. */
  private readonly moved = new Set<string>();

  constructor(
    private readonly sandbox: BrokerSandbox,
    private order: 'unordered' | 'by-key',
  ) {}

  async begin(files: MemoryFiles = this.files): Promise<void> {
    this.files = files;
    this.broker = await this.sandbox.reopen({ files, clock: this.clock });
    const tags = this.members.map((member) => member.tags);
    this.members = [];
    // Those with the fewest tags come back first.
    for (const each of tags.length > 0 ? tags.reverse() : [[]]) await this.join(each);
  }

  private async join(tags: readonly string[]): Promise<void> {
    const client = new EngineClient(this.broker);
    const topics = [{ topic: 't', tags }];
    await client.attach({ topics, order: this.order, leaseMs: 1_000, maxInFlightMessages: 8 });
    this.members.push({ client, tags });
  }

  private get clients(): EngineClient[] {
    return this.members.map(({ client }) => client);
  }

  private get delivered(): { client: EngineClient; delivery: RawDelivery; tags: readonly string[] }[] {
    return this.members.flatMap(({ client, tags }) =>
      client.delivered.map((delivery) => ({ client, delivery, tags })),
    );
  }

  async execute(step: Command): Promise<void> {
    await this.perform(step);
    await settled(3);
    this.checkDelivered();
  }

  private async perform(step: Command): Promise<void> {
    switch (step.do) {
      case 'send':
        return this.send(step.keys, step.delayMs, step.tag);
      case 'join':
        if (this.members.length < MAX_MEMBERS) await this.join(step.tags);
        return;
      case 'transact':
        return this.transact(step.keys, step.commit);
      case 'pass':
        this.clock.advance(step.ms);
        this.broker.tick();
        return;
      case 'redrive':
        for (const id of await this.buried()) {
          this.done.delete(id);
          // Retention may have dropped it since: then it never comes again.
          if (!(await this.clients[0]!.admin('redrive', 'g', id))) this.done.add(id);
        }
        return;
      case 'redrive-all': {
        const before = await this.buried();
        for (const id of before) this.done.delete(id);
        await this.clients[0]!.admin('redriveAll', 'g', {}, { ratePerSecond: 10_000 });
        expect((await this.buried()).filter((id) => before.includes(id))).toEqual([]);
        return;
      }
      case 'restart':
        return this.begin();
      case 'kill':
        return this.begin(this.files.kill());
      case 'power-cut':
        this.done.clear();
        return this.begin(this.files.crash());
      case 'leave': {
        const [gone] = this.members.splice(0, 1);
        await gone!.client.session.close();
        if (this.members.length === 0) await this.join(gone!.tags);
        return;
      }
      case 'reorder': {
        this.order = this.order === 'by-key' ? 'unordered' : 'by-key';
        const left = this.members.splice(0);
        for (const { client } of left) await client.session.close();
        for (const { tags } of left) await this.join(tags);
        return;
      }
      default: {
        const { delivered } = this;
        const some = delivered[step.which % Math.max(1, delivered.length)];
        if (some) await this.settle(some.client, some.delivery, step.do, step.delayMs);
      }
    }
  }

  private async buried(): Promise<string[]> {
    return (await this.clients[0]!.admin<DeadLetter[]>('deadLetters', 'g')).map(({ id }) => id);
  }

  private outgoing(keys: readonly number[], delayMs = 0, tag = 'a') {
    return keys.map((key) => {
      const id = `m${this.sent++}`;
      this.everSent.add(id);
      return message(id, {
        id,
        tag,
        key: `k${key}`,
        ...(delayMs > 0 ? { deliverAtMs: this.clock.now() + delayMs } : {}),
      });
    });
  }

  private async send(keys: readonly number[], delayMs: number, tag: string): Promise<void> {
    const messages = this.outgoing(keys, delayMs, tag);
    await this.clients[0]!.session.append(messages);
    for (const { id, key } of messages) this.acknowledged.push({ id: id!, key: key!, delayed: delayMs > 0 });
  }

  private async transact(keys: readonly number[], commit: boolean): Promise<void> {
    const messages = this.outgoing(keys);
    const id = await this.clients[0]!.session.prepare('p', messages);
    await this.clients[0]!.session.decide(id, commit ? 'commit' : 'rollback');
    for (const { id: messageId, key } of messages) {
      if (commit) this.acknowledged.push({ id: messageId!, key: key!, delayed: false });
      else this.rolledBack.add(messageId!);
    }
  }

  private async settle(
    client: EngineClient,
    delivery: RawDelivery,
    how: 'ack' | 'retry' | 'bury',
    delayMs: number,
  ): Promise<void> {
    const {
      deliveryId,
      message: { id },
    } = delivery;
    client.delivered.splice(client.delivered.indexOf(delivery), 1);
    const settlement =
      how === 'ack'
        ? ({ deliveryId, verdict: 'ack' } as const)
        : how === 'retry'
          ? ({ deliveryId, verdict: 'retry', delayMs, error: 'again' } as const)
          : ({ deliveryId, verdict: 'dead-letter', reason: 'rejected', error: 'no' } as const);
    const [recorded] = await client.session.settle([settlement]);
    if (how === 'retry' && this.order === 'unordered') this.moved.add(id);
    if (!recorded || how === 'retry') return;
    this.done.add(id);
    this.everDone.add(id);
  }

  private checkDelivered(): void {
    for (const { lost, delivered } of this.clients)
      for (const id of lost) {
        const place = delivered.findIndex(({ deliveryId }) => deliveryId === id);
        if (place >= 0) delivered.splice(place, 1);
      }
    const { delivered } = this;
    const ids = delivered.map(({ delivery }) => delivery.message.id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const {
      tags,
      delivery: {
        message: { id, key, tag },
      },
    } of delivered) {
      expect(this.everSent.has(id)).toBe(true);
      expect(this.rolledBack.has(id)).toBe(false);
      expect(this.done.has(id)).toBe(false);
      expect(tags.length === 0 || tags.includes(tag)).toBe(true);
      if (this.order !== 'by-key' || this.moved.has(id)) continue;
      const ofKey = this.acknowledged.filter((sent) => sent.key === key && !sent.delayed);
      const place = ofKey.findIndex((sent) => sent.id === id);
      for (const earlier of ofKey.slice(0, Math.max(0, place)))
        expect(this.everDone.has(earlier.id) || this.moved.has(earlier.id)).toBe(true);
    }
  }

  /** Acks whatever still comes, moving the time on, until the broker says that nothing is left. */
  async drain(): Promise<void> {
    await this.join([]);
    await until(async () => {
      for (const { client, delivery } of this.delivered) await this.settle(client, delivery, 'ack', 0);
      this.clock.advance(100);
      this.broker.tick();
      // In this order: what fires in between is no longer pending, and counts as lag.
      const { pending } = await this.clients[0]!.admin<{ pending: number }>('timers');
      const [group] = await this.clients[0]!.admin<GroupInfo[]>('groups');
      return group!.lag === 0 && pending === 0 && this.delivered.length === 0;
    }, 'the end of the backlog');
    const buried = await this.buried();
    expect(buried.length).toBeLessThanOrEqual(MAX_DEAD_LETTERS);
    for (const { id } of this.acknowledged) expect(this.everDone.has(id) || buried.includes(id)).toBe(true);
    expect(await this.clients[0]!.admin<GroupInfo[]>('groups')).toMatchObject([
      { lag: 0, inFlight: 0, retrying: 0 },
    ]);
  }
}

describe.each(['unordered', 'by-key'] as const)('a random run, %s', (order) => {
  it(
    'loses no acknowledged message, invents none, and never delivers again what is settled',
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(command, { minLength: 5, maxLength: 40 }),
          horizonMs,
          async (commands, timerHorizonMs) => {
            const sandbox = await BrokerSandbox.make({
              timerHorizonMs,
              traceSteps: 0,
              tailCacheBytes: 1,
              readCacheBytes: 1,
              deadLetters: { maxPerGroup: MAX_DEAD_LETTERS },
            });
            try {
              const run = new Run(sandbox, order);
              await run.begin();
              for (const step of commands) await run.execute(step);
              await run.drain();
            } finally {
              await sandbox.cleanUp();
            }
          },
        ),
        { numRuns: RUNS, verbose: 1 },
      );
    },
    60_000 + RUNS * 2_000,
  );
});
