import { hostname } from 'node:os';
import { afterEach, expect, it } from '@jest/globals';
import { BrokerSandbox, EngineClient, ManualClock, message } from '../testing/engine-client.js';

const sandboxes: BrokerSandbox[] = [];
afterEach(() => Promise.all(sandboxes.splice(0).map((sandbox) => sandbox.cleanUp())));

/** With hardly any memory: all but the newest block is in files. */
async function openSmall(traceSteps?: number) {
  const sandbox = await BrokerSandbox.make({
    clock: new ManualClock(1_000),
    tailCacheBytes: 1,
    readCacheBytes: 1,
    segmentBytes: 64 * 1024,
    ...(traceSteps === undefined ? {} : { traceSteps }),
  });
  sandboxes.push(sandbox);
  return new EngineClient(await sandbox.open());
}

const admin = ({ session }: EngineClient, method: 'trace' | 'traceByKey', id: string) =>
  session.admin({ method, args: [id] });
const big = (id: string) => message('x'.repeat(20_000), { id, key: `key of ${id}` });

it('tells the steps of messages that are no longer in memory, by id and by key', async () => {
  const client = await openSmall();
  await client.session.append([big('first')]);
  await client.attach();
  await client.ack(await client.take());
  for (let i = 0; i < 20; i++) await client.session.append([big(`other ${i}`)]);
  const consumer = { group: 'g', consumer: 'client', node: hostname() };
  const steps = [
    { step: 'stored', atMs: 1_000 },
    { step: 'delivered', atMs: 1_000, ...consumer },
    { step: 'acked', atMs: 1_000, ...consumer },
  ];
  expect(await admin(client, 'trace', 'first')).toEqual(steps);
  expect(await admin(client, 'traceByKey', 'key of first')).toMatchObject([
    { messageId: 'first', events: steps },
  ]);
});

it('tells apart what an id was in two records of one message and in another’s', async () => {
  const client = await openSmall();
  await client.session.append([big('again'), big('other')]);
  await client.attach();
  const [one, two] = [await client.take(), await client.take()];
  await client.retry(one);
  await client.ack(two);
  const copy = await client.take();
  await client.ack(copy);
  const stepsOf = async (id: string) =>
    ((await admin(client, 'trace', id)) as { step: string }[]).map(({ step }) => step);
  expect(await stepsOf('again')).toEqual(['stored', 'delivered', 'retried', 'delivered', 'acked']);
  expect(await stepsOf('other')).toEqual(['stored', 'delivered', 'acked']);
});

it('forgets the oldest steps', async () => {
  const client = await openSmall(2);
  for (const id of ['a', 'b', 'c']) await client.session.append([big(id)]);
  expect(await admin(client, 'trace', 'a')).toEqual([]);
  expect(await admin(client, 'trace', 'c')).toHaveLength(1);
});
