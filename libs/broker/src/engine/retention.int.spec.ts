import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { GroupInfo, TransactionInfo } from '#libs/messaging/port';
import {
  BrokerSandbox,
  EngineClient,
  ManualClock,
  message,
  settled,
  textOf,
  until,
} from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';
import type { EmbeddedBroker } from './embedded-broker.js';

const SEGMENT_BYTES = 64 * 1024;
const HOUR_MS = 3_600_000;

let clock: ManualClock;
let files: MemoryFiles;
let sandbox: BrokerSandbox;
let broker: EmbeddedBroker;
let client: EngineClient;

beforeEach(async () => {
  clock = new ManualClock();
  sandbox = await BrokerSandbox.make({
    clock,
    segmentBytes: SEGMENT_BYTES,
    retention: { maxBytes: 2 * SEGMENT_BYTES },
    traceSteps: 0,
    // What is old is read from its file, and nothing is synced that nobody waits for.
    tailCacheBytes: 1,
    readCacheBytes: 1,
    asyncFlushMs: HOUR_MS,
    transactions: { firstCheckMs: 1_000, everyMs: 1_000, maxChecks: 2 },
  });
  await start(new MemoryFiles());
});
afterEach(() => sandbox.cleanUp());

async function start(from: MemoryFiles): Promise<void> {
  files = from;
  broker = await sandbox.reopen({ files });
  client = new EngineClient(broker);
  await client.attach({ leaseMs: 24 * HOUR_MS, maxInFlightMessages: 1_000 });
}

const segments = (): string[] => files.paths().filter((path) => path.endsWith('.log'));

/** Eight segments' worth of messages, each settled but for those that `leaves` names. */
async function traffic(leaves: (text: string) => boolean = () => false): Promise<void> {
  for (let n = 0; n < 8; n++) {
    await client.session.append(Array.from({ length: 7 }, () => message('x'.repeat(8_000), { tag: 'b' })));
    await until(() => client.texts.filter((text) => text.startsWith('x')).length === 7);
    for (const delivery of client.delivered.splice(0))
      if (leaves(textOf(delivery))) client.delivered.push(delivery);
      else await client.ack(delivery);
  }
}

/** What retention does when its time has come. */
function retain(): void {
  clock.advance(10_001);
  broker.tick();
}

describe('a segment that is old', () => {
  it('stays while a group has not settled all of it, and goes then', async () => {
    const [first] = segments();
    await client.session.append([message('open')]);
    await traffic((text) => text === 'open');
    const all = segments().length;
    retain();
    await settled(50);
    expect(segments()).toHaveLength(all);
    await start(files.kill());
    await until(() => client.texts.includes('open'));
    for (const delivery of client.delivered.splice(0)) await client.ack(delivery);
    retain();
    await until(() => segments().length <= 3);
    expect(segments()).not.toContain(first);
  });

  it('goes once it is on disk where its messages went: a power cut takes none of them', async () => {
    await client.session.append([message('fails')]);
    await traffic((text) => text === 'fails');
    await client.session.append([message('last of all')]);
    await until(() => client.texts.includes('last of all'));
    const [first] = segments();
    // Its place is settled by that, and what was written of it is in the page cache.
    await client.retry(
      client.delivered.find((each) => textOf(each) === 'fails')!,
      HOUR_MS,
    );
    retain();
    await until(() => !segments().includes(first!));
    await start(files.crash());
    expect((await client.admin<GroupInfo[]>('groups'))[0]).toMatchObject({ retrying: 1 });
    clock.advance(HOUR_MS);
    broker.tick();
    await until(() => client.texts.includes('fails'));
  });

  it('leaves how often a producer was asked to what its half messages are carried to', async () => {
    await client.session.registerProducer('p');
    const id = await client.session.prepare('p', [message('half')]);
    clock.advance(1_000);
    broker.tick();
    await until(() => client.checks.length === 1);
    await client.session.decide(id, 'unknown');
    await traffic();
    const [first] = segments();
    retain();
    await until(() => !segments().includes(first!));
    await start(files.kill());
    await client.session.registerProducer('p');
    clock.advance(1_000);
    broker.tick();
    await until(() => client.checks.length === 1);
    await client.session.decide(id, 'unknown');
    expect((await client.admin<TransactionInfo>('transactions')).parked).toMatchObject([
      { transactionId: id, checks: 2 },
    ]);
  });

  it('takes along no delayed message that is taken back while it is carried', async () => {
    const inAnHour = { deliverAtMs: clock.now() + HOUR_MS };
    const handles = Array.from({ length: 20 }, (_, n) => `h${n}`);
    await client.session.append(handles.map((timerId) => message(timerId, { ...inAnHour, timerId })));
    await traffic();
    const [first] = segments();
    retain();
    expect(await client.session.recall('h19')).toBe(true);
    await until(() => !segments().includes(first!));
    expect(await client.admin('timers')).toMatchObject({ pending: 19 });
    clock.advance(HOUR_MS);
    broker.tick();
    await until(() => client.delivered.length >= 19);
    await settled();
    expect(client.texts.sort()).toEqual(handles.filter((handle) => handle !== 'h19').sort());
  });
});
