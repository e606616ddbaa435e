import { mkdtemp, readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { EmbeddedBroker } from '../engine/embedded-broker.js';
import { runCli } from './run-cli.js';

describe('dump and verify', () => {
  let dir: string;
  let segment: string;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'broker-files-'));
    const broker = await EmbeddedBroker.open({ dir });
    const port = broker.connect('spec');
    const consumer = await port.subscribe({ group: 'g', topics: [{ topic: 'order' }] }, ([delivery]) =>
      Promise.resolve(delivery?.ack()),
    );
    for (const text of ['one', 'two', 'three'])
      await port.send([
        { topic: 'order', tag: 'paid', key: 'k', id: text, body: Buffer.from(`body ${text}`) },
      ]);
    await consumer.close();
    await port.close();
    await broker.close();
    const [name] = (await readdir(join(dir, 'journal'))).filter((each) => each.endsWith('.log'));
    segment = join(dir, 'journal', name!);
  });
  afterEach(() => rm(dir, { recursive: true }));

  async function run(...args: string[]) {
    const lines: string[] = [];
    const errors: string[] = [];
    const code = await runCli(args, {
      env: {},
      out: (text) => lines.push(text),
      error: (text) => errors.push(text),
      input: Readable.from([]),
      interrupted: Promise.resolve(),
    });
    return { code, lines, text: lines.join('\n'), error: errors.join('\n') };
  }

  async function damage(text: string): Promise<void> {
    const bytes = await readFile(segment);
    bytes[bytes.indexOf(text)]! ^= 1;
    await writeFile(segment, bytes);
  }

  it('dump shows every entry with its place, facts, acks and messages', async () => {
    const { code, text } = await run('dump', segment);
    expect(code).toBe(0);
    expect(text).toMatch(/^32 {2}\d+ bytes {2}SNAPSHOT {2}crc ok/);
    expect(text).toMatch(/GROUP_CREATED.*\n +\{"id":1,"name":"g"\}/);
    expect(text).toMatch(/MESSAGES.*\n +order\.paid \d:0 k one body one/);
    expect(text).toMatch(/ACKED.*\n +group #1 settled 0/);
    const json = (await run('dump', segment, '--json')).lines.map(
      (each) => JSON.parse(each) as { type: string; messages: { body: string }[] },
    );
    const bodies = json.flatMap(({ messages }) => messages.map(({ body }) => body));
    expect(bodies).toEqual(['body one', 'body two', 'body three']);
  });

  it('dump shows a message that was sent under a sequence, and the sequence', async () => {
    const broker = await EmbeddedBroker.open({ dir });
    const port = broker.connect('spec', { producer: { name: 'shop' } });
    await port.send([{ topic: 'order', tag: 'paid', key: 'k', id: 'four', body: Buffer.from('body four') }]);
    await port.close();
    await broker.close();
    const { code, text } = await run('dump', segment);
    expect(code).toBe(0);
    expect(text).toMatch(/\n +order\.paid \d:3 k four body four\n +producer #\d+ epoch 1 sequence 1/);
  });

  it('dump passes over what it cannot read, says where it is, and answers with exit code 1', async () => {
    await damage('body two');
    const { code, text } = await run('dump', segment);
    expect(code).toBe(1);
    expect(text).toMatch(/\n\d+ {2}\d+ bytes {2}UNREADABLE/);
    expect(text).toContain('body three');
    expect(text).not.toContain('body two');
  });

  it('verify counts a sound journal, and changes nothing', async () => {
    const { code, text } = await run('verify', dir);
    expect(code).toBe(0);
    expect(text).toContain('topic order: 3 messages');
    expect(text).toMatch(/MESSAGES 3\n/);
    expect(text).toMatch(/\nsound$/);
  });

  it('verify names damage by file, position and offsets, and answers with exit code 1', async () => {
    await damage('body two');
    const before = await readFile(segment);
    const { code, text } = await run('verify', dir);
    expect(code).toBe(1);
    expect(text).toMatch(/DAMAGED \S+00000000000000000000\.log, positions \d+ to \d+/);
    expect(text).toMatch(/lost: order\/\d offsets 1 to 1\n/);
    expect(text).toMatch(/\nNOT SOUND$/);
    expect(await readFile(segment)).toEqual(before);
    await (await EmbeddedBroker.open({ dir, onDamage: 'quarantine' })).close();
    expect(await run('verify', dir)).toMatchObject({
      code: 0,
      text: expect.stringContaining('quarantined before:'),
    });
  });

  it('verify finds a torn tail, which is no damage, and does not cut it', async () => {
    const { size } = await stat(segment);
    await rm(join(dir, 'journal', 'durable'));
    await truncate(segment, size - 3);
    const { code, text } = await run('verify', dir);
    expect(code).toBe(0);
    expect(text).toContain('torn tail:');
    expect((await stat(segment)).size).toBe(size - 3);
  });

  it('both say in one line what they cannot read', async () => {
    expect(await run('verify', join(dir, 'nothing'))).toMatchObject({
      code: 1,
      error: expect.stringMatching(/^INVALID_ARGUMENT.*not a broker’s data directory|not a broker's/),
    });
    expect(await run('dump', join(dir, 'lock'))).toMatchObject({ code: 1 });
    expect(await run('dump')).toMatchObject({ code: 2 });
  });
});
