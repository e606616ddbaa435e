import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BrokerSandbox, EngineClient, message, settled, stored, until } from '../testing/engine-client.js';
import { MemoryFiles } from '../testing/memory-files.js';

let sandbox: BrokerSandbox;
const problems: string[] = [];
const asProblem = ({ message: text }: { message: string }): number => problems.push(text);

beforeEach(async () => {
  problems.length = 0;
  sandbox = await BrokerSandbox.make({ segmentBytes: 64 * 1024, onProblem: asProblem });
});
afterEach(() => sandbox.cleanUp());

const journalFiles = (files: MemoryFiles): string[] => files.paths().filter((path) => path.endsWith('.log'));
const quarantined = (files: MemoryFiles): string[] =>
  files.paths().filter((path) => path.endsWith('.damaged'));

/** Thirty messages in one partition, one entry each, over several segments; the first ten are settled by group `g`. */
async function thirty(): Promise<MemoryFiles> {
  const files = new MemoryFiles();
  const broker = await sandbox.open({ files });
  const client = new EngineClient(broker);
  await broker.createTopic('t', { partitions: 1 });
  await client.attach({ maxInFlightMessages: 10 });
  for (let n = 0; n < 30; n++) {
    await client.session.append([message(`${n} ${'x'.repeat(4_000)}`, { id: `m${n}` })]);
  }
  await until(() => client.delivered.length === 10);
  for (const delivery of client.delivered.splice(0)) await client.ack(delivery);
  await broker.close();
  return files.kill();
}

/** Zeroes `bytes` bytes where the message's body is. */
function damage(files: MemoryFiles, text: string, bytes = 6_000): void {
  const path = journalFiles(files).find((each) => files.content(each).includes(text))!;
  const content = Buffer.from(files.content(path));
  const at = content.indexOf(text);
  content.fill(0, at, Math.min(content.byteLength, at + bytes));
  files.put(path, content);
}

describe('damage that is quarantined', () => {
  it('is refused by name first; then set aside, reported by offsets, and passed over by consumers', async () => {
    const files = await thirty();
    damage(files, '17 xxx');
    await expect(sandbox.open({ files })).rejects.toThrow(/LOG_CORRUPT.*onDamage: 'quarantine'/);
    const broker = await sandbox.open({ files, onDamage: 'quarantine' });
    expect(broker.lostRanges).toHaveLength(1);
    expect(broker.lostOffsets).toEqual([{ topic: 't', partition: 0, from: 17, to: 19 }]);
    expect(problems.join('\n')).toContain('t/0: offsets 17 to 18 are lost');
    const [aside] = quarantined(files);
    const { from, to } = broker.lostRanges[0]!;
    expect(aside).toContain(`${String(from).padStart(20, '0')}-${String(to).padStart(20, '0')}.damaged`);
    expect(files.content(aside!).byteLength).toBe(to - from);
    const client = new EngineClient(broker);
    await client.attach();
    await client.session.append([message('new', { id: 'new' })]);
    await until(() => client.delivered.some(({ message: { id } }) => id === 'new'));
    const expected = Array.from({ length: 20 }, (_, i) => `m${i + 10}`).filter((id) => !/1[78]/.test(id));
    expect(client.delivered.map(({ message: { id } }) => id)).toEqual([...expected, 'new']);
    for (const delivery of client.delivered.splice(0)) await client.ack(delivery);
    await until(
      async () =>
        ((await client.session.admin({ method: 'groups', args: [] })) as { lag: number }[])[0]!.lag === 0,
    );
  });

  it('is known from then on: the next start leaves it out without being told to', async () => {
    const files = await thirty();
    damage(files, '17 xxx');
    const broker = await sandbox.open({ files, onDamage: 'quarantine' });
    const { session } = new EngineClient(broker);
    await session.append([message('new', { id: 'new' })]);
    const again = await sandbox.reopen({ files });
    expect(again.lostOffsets).toEqual([{ topic: 't', partition: 0, from: 17, to: 19 }]);
    expect((await stored(again)).get('t/0')).toContain('new');
    damage(files, '22 xxx');
    await sandbox.reopen({ files }).then(
      () => expect('opened').toBe('refused'),
      (error: unknown) => expect(String(error)).toContain('LOG_CORRUPT'),
    );
  });

  it.each([0, 5, 11, 29])('leaves everything else readable, wherever it is: message %i', async (n) => {
    const files = await thirty();
    damage(files, `${n} xxx`);
    const broker = await sandbox.open({ files, onDamage: 'quarantine' });
    const ids = (await stored(broker)).get('t/0')!;
    expect(ids.length).toBeGreaterThanOrEqual(28);
    expect(ids).not.toContain(`m${n}`);
    const { session } = new EngineClient(broker);
    const [receipt] = await session.append([message('new', { id: 'new' })]);
    // No message is ever given an offset that a lost one had.
    expect(receipt!.offset).toBeGreaterThanOrEqual(n === 29 ? 29 : 30);
    const again = await sandbox.reopen({ files });
    expect((await stored(again)).get('t/0')).toEqual([...ids, 'new']);
  });

  it('may be a whole segment: what was made in it is known from the snapshot behind it', async () => {
    const files = await thirty();
    const [first] = journalFiles(files);
    files.put(first!, Buffer.alloc(files.content(first!).byteLength));
    const broker = await sandbox.open({ files, onDamage: 'quarantine' });
    const ids = (await stored(broker)).get('t/0')!;
    expect(ids).toContain('m29');
    const firstKept = Number(ids[0]!.slice(1));
    expect(broker.lostOffsets).toContainEqual({ topic: 't', partition: 0, from: 0, to: firstKept });
    const client = new EngineClient(broker);
    await client.attach();
    await until(() => client.delivered.length > 0);
    await settled();
    expect(client.delivered.map(({ message: { id } }) => id)).toEqual(ids);
    const again = await sandbox.reopen({ files });
    expect((await stored(again)).get('t/0')).toEqual(ids);
  });

  it('may be a cut at the end of what had been on disk', async () => {
    const files = await thirty();
    const last = journalFiles(files).at(-1)!;
    const content = files.content(last);
    files.put(last, Buffer.from(content.subarray(0, content.byteLength - 3_000)));
    await expect(sandbox.open({ files })).rejects.toThrow(/LOG_CORRUPT/);
    const broker = await sandbox.open({ files, onDamage: 'quarantine' });
    const { session } = new EngineClient(broker);
    await session.append([message('new', { id: 'new' })]);
    const again = await sandbox.reopen({ files: files.kill() });
    expect((await stored(again)).get('t/0')).toContain('new');
  });
});
