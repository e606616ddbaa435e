import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { SendReceipt } from '#libs/messaging/port';
import type { EmbeddedBroker } from '../engine/embedded-broker.js';
import type { ProducerIdentity } from '../session.js';
import { BrokerSandbox, EngineClient, ManualClock, message, stored } from '../testing/engine-client.js';
import { REMEMBERED_BATCHES } from './sequences.js';

const clock = new ManualClock();
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;
let identity: ProducerIdentity;

const register = (owner: string, renew = false): Promise<ProducerIdentity> =>
  client.session.openProducer({ name: 'shop', owner, renew });
const append = (sequence: number, ...texts: string[]) =>
  client.session.append(
    texts.map((text) => message(text, { key: 'k' })),
    { ...identity, sequence },
  );
const reopen = async (): Promise<void> => {
  broker = await sandbox.reopen();
  client = new EngineClient(broker);
};
const count = async (): Promise<number> =>
  [...(await stored(broker)).values()].reduce((sum, ids) => sum + ids.length, 0);

beforeEach(async () => {
  // Nothing stays in memory, so that receipts are read from the file.
  sandbox = await BrokerSandbox.make({
    clock,
    tailCacheBytes: 1,
    readCacheBytes: 1,
    segmentBytes: 64 * 1024,
  });
  broker = await sandbox.open();
  client = new EngineClient(broker);
  identity = await register('first');
});
afterEach(() => sandbox.cleanUp());

describe('a producer’s sequence', () => {
  it('answers a repeated batch with the first receipts and stores nothing, also after a restart', async () => {
    const batches: SendReceipt[][] = [];
    for (let n = 1; n <= 6; n++) batches.push(await append(n, `${n}a`, `${n}b`));
    const again = async () => {
      for (let n = 2; n <= 6; n++) {
        const first = batches[n - 1]!;
        expect(await append(n, `${n}a`, `${n}b`)).toEqual(
          first.map((receipt) => ({ ...receipt, duplicate: true })),
        );
      }
      expect(await count()).toBe(12);
    };
    await again();
    await reopen();
    await again();
    expect(await append(7, 'next')).toMatchObject([{ duplicate: false }]);
  });

  it('refuses a gap, a batch it has forgotten and one that changed, and stores nothing of them', async () => {
    for (let n = 1; n <= REMEMBERED_BATCHES + 1; n++) await append(n, `${n}`);
    const gap = { code: 'SEQUENCE_GAP' };
    await expect(append(REMEMBERED_BATCHES + 3, 'early')).rejects.toMatchObject(gap);
    await expect(append(1, '1')).rejects.toMatchObject(gap);
    await expect(append(2, '2', 'and more')).rejects.toMatchObject(gap);
    await reopen();
    await expect(append(REMEMBERED_BATCHES + 3, 'early')).rejects.toMatchObject(gap);
    expect(await count()).toBe(REMEMBERED_BATCHES + 1);
  });

  it('fences an older instance, also after a restart, and does not let it come back', async () => {
    await append(1, 'old');
    const newer = await register('second');
    expect(newer).toEqual({ producerId: identity.producerId, epoch: identity.epoch + 1 });
    const fenced = { code: 'PRODUCER_FENCED' };
    await expect(append(2, 'late')).rejects.toMatchObject(fenced);
    await reopen();
    await expect(append(2, 'late')).rejects.toMatchObject(fenced);
    await expect(register('first', true)).rejects.toMatchObject(fenced);
    identity = newer;
    expect(await append(1, 'new')).toMatchObject([{ offset: 1, duplicate: false }]);
  });

  it('goes on behind a batch that was refused for what is in it', async () => {
    await append(1, 'one');
    const wrong = () =>
      client.session.append([message('x', { topic: 'no topic' })], { ...identity, sequence: 2 });
    await expect(wrong()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await append(3, 'three')).toMatchObject([{ duplicate: false }]);
    await expect(wrong()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await reopen();
    expect(await append(3, 'three')).toMatchObject([{ duplicate: true }]);
  });

  it('is not moved on by several that were refused: some of them will come again by themselves', async () => {
    await append(1, 'one');
    const several = [message('fine'), message('x', { topic: 'no topic' })];
    const refused = client.session.append(several, { ...identity, sequence: 2 });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(append(3, 'behind')).rejects.toMatchObject({ code: 'SEQUENCE_GAP' });
    expect(await append(2, 'fine')).toMatchObject([{ duplicate: false }]);
  });

  it('is fenced as well while a batch is compared with stored ids', async () => {
    const big = 'x'.repeat(40_000);
    await client.session.append([message(big, { id: 'same' })]);
    for (let n = 0; n < 6; n++) await client.session.append([message(big, { id: `other${n}` })]);
    const before = await count();
    const late = client.session.append([message(big, { id: 'same' }), message('late')], {
      ...identity,
      sequence: 1,
    });
    await Promise.all([expect(late).rejects.toMatchObject({ code: 'PRODUCER_FENCED' }), register('second')]);
    expect(await count()).toBe(before);
  });

  it('keeps its order when a batch has to be compared with stored ids first', async () => {
    const big = 'x'.repeat(40_000);
    await client.session.append([message(big, { id: 'same' })]);
    for (let n = 0; n < 6; n++) await client.session.append([message(big, { id: `other${n}` })]);
    const stamp = (sequence: number) => ({ ...identity, sequence });
    const mixed = [message(big, { id: 'same' }), message('fresh', { id: 'fresh' })];
    const [first, second] = await Promise.all([
      client.session.append(mixed, stamp(1)),
      client.session.append([message('behind')], stamp(2)),
    ]);
    expect(first.map(({ duplicate }) => duplicate)).toEqual([true, false]);
    expect(second).toMatchObject([{ duplicate: false }]);
    expect(await client.session.append(mixed, stamp(1))).toEqual(
      first.map((receipt) => ({ ...receipt, duplicate: true })),
    );
  });

  it('does not know a producer of another log', async () => {
    identity = { producerId: identity.producerId + 1, epoch: 1 };
    await expect(append(1, 'x')).rejects.toMatchObject({ code: 'UNKNOWN_PRODUCER' });
  });
});
