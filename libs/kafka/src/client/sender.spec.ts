import { describe, expect, it } from '@jest/globals';
import type { NewRecord } from './kafka-client.js';
import { type RawProducer, Sender, type SentPartition } from './sender.js';

const record = (value: string, partition = 0): NewRecord => ({
  topic: 'order',
  partition,
  key: null,
  value: Buffer.from(value),
  headers: {},
});

/** Answers requests one by one, as told; without being told it appends. */
class ScriptedProducer implements RawProducer {
  readonly requests: string[][] = [];
  private readonly ends = new Map<number, number>();
  underWay = 0;
  mostUnderWay = 0;
  disconnected = false;

  constructor(
    private readonly script: (request: number) => Error | SentPartition[] | undefined = () => undefined,
  ) {}

  async send(records: readonly NewRecord[]): Promise<readonly SentPartition[]> {
    const answer = this.script(this.requests.push(records.map(({ value }) => value?.toString() ?? '')));
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    await new Promise((resolve) => setImmediate(resolve));
    this.underWay--;
    if (answer instanceof Error) throw answer;
    if (answer !== undefined) return answer;
    return [...new Set(records.map(({ partition }) => partition))].map((partition) => {
      const base = this.ends.get(partition) ?? 0;
      this.ends.set(partition, base + records.filter((each) => each.partition === partition).length);
      return { partition, baseOffset: `${base}` };
    });
  }

  async disconnect(): Promise<void> {
    this.disconnected = true;
  }
}

function senderOver(...producers: RawProducer[]): Sender {
  const left = [...producers];
  return new Sender(
    async () => left.shift() ?? Promise.reject(new Error('nobody is there')),
    () => undefined,
  );
}

const protocolError = (type: string): Error => Object.assign(new Error(type), { type });

describe('Sender', () => {
  it('has one request under way, and gathers what is called meanwhile into the next', async () => {
    const producer = new ScriptedProducer();
    const sender = senderOver(producer);
    const first = sender.append([record('a')]);
    await new Promise((resolve) => setImmediate(resolve));
    const rest = ['b', 'c', 'd'].map((text) => sender.append([record(text)]));
    expect(await first).toEqual([0]);
    expect(await Promise.all(rest)).toEqual([[1], [2], [3]]);
    expect(producer.requests).toEqual([['a'], ['b', 'c', 'd']]);
    expect(producer.mostUnderWay).toBe(1);
  });

  it('makes no request larger than a node takes, but for one call that is', async () => {
    const producer = new ScriptedProducer();
    const sender = senderOver(producer);
    const half = 'x'.repeat(500_000);
    await Promise.all([half, half, half + half, 'y'].map((text) => sender.append([record(text)])));
    expect(producer.requests.map((request) => request.length)).toEqual([1, 1, 1, 1]);
  });

  it.each(['UNKNOWN_PRODUCER_ID', 'OUT_OF_ORDER_SEQUENCE_NUMBER', 'DUPLICATE_SEQUENCE_NUMBER'])(
    'replaces a producer that Kafka answers with %s, and calls the outcome unknown',
    async (type) => {
      const [dead, next] = [new ScriptedProducer(() => protocolError(type)), new ScriptedProducer()];
      const sender = senderOver(dead, next);
      await expect(sender.append([record('a')])).rejects.toMatchObject({
        code: 'BROKER_UNAVAILABLE',
        kind: 'transient',
      });
      expect(await sender.append([record('b')])).toEqual([0]);
      expect(dead.disconnected).toBe(true);
      expect(next.requests).toEqual([['b']]);
    },
  );

  it('replaces the producer after any failure: its sequence numbers may be used or not', async () => {
    const [first, next] = [new ScriptedProducer(() => new Error('no answer')), new ScriptedProducer()];
    const sender = senderOver(first, next);
    const calls = [sender.append([record('a')]), sender.append([record('b')])];
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    await sender.append([record('c')]);
    expect(first.requests).toEqual([['a', 'b']]);
    expect(next.requests).toEqual([['c']]);
  });

  it.each([
    ['is left out of the answer', [{ partition: 0, baseOffset: '4' }]],
    [
      'has an answer without an offset',
      [
        { partition: 0, baseOffset: '4' },
        { partition: 1, baseOffset: '-1' },
      ],
    ],
  ])('confirms nothing of a request when a partition %s', async (_, answer) => {
    const producer = new ScriptedProducer(() => answer);
    const sender = senderOver(producer);
    await expect(sender.append([record('a', 0), record('b', 1)])).rejects.toMatchObject({
      code: 'BROKER_UNAVAILABLE',
    });
  });

  it('tries to connect anew at the next send when nobody was there', async () => {
    const producer = new ScriptedProducer();
    let tries = 0;
    const sender = new Sender(
      () => (++tries === 1 ? Promise.reject(new Error('refused')) : Promise.resolve(producer)),
      () => undefined,
    );
    await expect(sender.append([record('a')])).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    expect(await sender.append([record('b')])).toEqual([0]);
  });

  it('refuses what would wait beyond its bound, and stores none of that', async () => {
    let release: () => void = () => undefined;
    const connecting = new Promise<void>((resolve) => (release = resolve));
    const producer = new ScriptedProducer();
    const sender = new Sender(
      () => connecting.then(() => producer),
      () => undefined,
    );
    const megabyte = 'x'.repeat(1024 * 1024);
    const calls = Array.from({ length: 40 }, () => sender.append([record(megabyte)]));
    const results = Promise.allSettled(calls);
    release();
    const refused = (await results).filter((result) => result.status === 'rejected');
    expect(refused.length).toBe(8);
    expect(refused[0]).toMatchObject({ reason: { code: 'BUFFER_FULL' } });
    expect(producer.requests.flat().length).toBe(32);
  });

  it('sends what waits before it closes, and takes nothing more', async () => {
    const producer = new ScriptedProducer();
    const sender = senderOver(producer);
    const call = sender.append([record('a')]);
    await sender.close();
    expect(await call).toEqual([0]);
    expect(producer.disconnected).toBe(true);
    await expect(sender.append([record('b')])).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
