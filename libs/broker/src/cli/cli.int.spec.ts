import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { BrokerPort } from '#libs/messaging/port';
import { EmbeddedBroker } from '../engine/embedded-broker.js';
import { BrokerServer } from '../server/broker-server.js';
import { until } from '../testing/until.js';
import { runCli } from './run-cli.js';

const log = { info: () => undefined, warn: () => undefined };

describe('the broker’s command line', () => {
  let dir: string;
  let broker: EmbeddedBroker;
  let server: BrokerServer;
  let port: BrokerPort;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'broker-cli-'));
    broker = await EmbeddedBroker.open({ dir });
    server = await BrokerServer.listen(broker, { port: 0, token: 'secret', log });
    port = broker.connect('spec');
  });
  afterEach(async () => {
    await server.close();
    await port.close();
    await broker.close();
    await rm(dir, { recursive: true });
  });

  async function run(args: string, input = '', interrupted: Promise<unknown> = Promise.resolve()) {
    const lines: string[] = [];
    const errors: string[] = [];
    const env = { BROKER_URL: `tcp://127.0.0.1:${server.address.port}`, BROKER_TOKEN: 'secret' };
    const code = await runCli(args.split(' '), {
      env,
      out: (text) => lines.push(text),
      error: (text) => errors.push(text),
      input: Readable.from([input]),
      interrupted,
    });
    return { code, lines, text: lines.join('\n'), error: errors.join('\n') };
  }

  it('produces from the command line and from the standard input, and shows what is stored', async () => {
    expect((await run('produce order paid hello --key k --header h=v')).lines).toHaveLength(1);
    expect((await run('produce order paid', 'a\nb\n')).lines).toHaveLength(2);
    expect((await run('topics')).text).toMatch(/order +4 +3 +3/);
    const peeked = await run('peek order --json');
    const messages = peeked.lines.map((text) => JSON.parse(text) as { body: string; key?: string });
    expect(messages.map(({ body }) => body).sort()).toEqual(['a', 'b', 'hello']);
    expect(messages.find(({ body }) => body === 'hello')).toMatchObject({ key: 'k', headers: { h: 'v' } });
  });

  it.each([
    'lag nosuch',
    'dlq nosuch',
    'redrive nosuch --all',
    'redrive nosuch --all --dry-run',
    'redrive nosuch m1',
    'edit nosuch m1 body',
    'discard nosuch m1',
  ])('says of a group that there is not that it is unknown: %s', async (args) => {
    expect(await run(args)).toMatchObject({
      code: 1,
      lines: [],
      error: expect.stringMatching(/^UNKNOWN_GROUP.*nosuch/),
    });
  });

  it('shows messages as they come', async () => {
    await port.admin.createTopic('order');
    let interrupt: (value: unknown) => void = () => undefined;
    const tailing = run('tail order --tag paid', '', new Promise((resolve) => (interrupt = resolve)));
    await until(async () => (await port.admin.groups()).some(({ members }) => members.length > 0));
    await port.send(
      ['skipped', 'paid'].map((tag) => ({ topic: 'order', tag, body: Buffer.from(`a ${tag} one`) })),
    );
    const member = async (): Promise<number> => (await port.admin.groups())[0]?.acked ?? 0;
    await until(async () => (await member()) >= 1);
    interrupt(undefined);
    const { lines } = await tailing;
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('a paid one');
  });

  it('lists, redrives and discards dead letters', async () => {
    let healed = false;
    await port.subscribe({ group: 'g', topics: [{ topic: 'order' }] }, async ([delivery]) => {
      if (healed) return delivery?.ack();
      return delivery?.deadLetter({ reason: 'rejected', error: 'no good' });
    });
    const receipts = await port.send(
      ['a', 'b', 'c'].map((text) => ({ topic: 'order', tag: 't', body: Buffer.from(text) })),
    );
    await until(async () => (await port.admin.deadLetters('g')).length === 3);
    const listed = await run('dlq g');
    expect(listed.lines).toHaveLength(3);
    expect(listed.text).toContain('rejected after 1: no good');
    expect((await run(`discard g ${receipts[0]?.messageId}`)).text).toBe('discarded');
    expect((await run(`discard g ${receipts[0]?.messageId}`)).text).toBe('no such dead letter');
    healed = true;
    expect((await run('redrive g --all --reason ttl-expired')).text).toBe('0 redriven');
    expect((await run('redrive g --all --tag t --dry-run')).text).toBe('2 would be redriven');
    expect((await run(`edit g ${receipts[1]?.messageId} better --header a=b --header c=d`)).text).toBe(
      'edited',
    );
    expect((await run('dlq g --json')).text).toContain('"headers":{"a":"b","c":"d"},"body":"better"');
    expect((await run('edit g nobody x')).text).toBe('no such dead letter');
    expect(await run(`edit g ${receipts[1]?.messageId}`)).toMatchObject({ code: 2 });
    expect((await run('redrive g --all --topic order --tag t --rate 1000')).text).toBe('2 redriven');
    expect((await run('dlq g')).text).toBe('none');
    expect((await run('dlq g --json')).text).toBe('');
    await port.send([{ topic: 'order', tag: 't', key: 'A-1', body: Buffer.from('d') }]);
    await until(async () => /A-1|acked/.test((await run('trace --key A-1 --topic order')).text));
    expect((await run('trace --key A-1')).text).toMatch(/order \d:\d+ \S+ +\S+Z +stored/);
    expect((await run('trace --key nobody')).text).toBe('none');
    expect((await run('audit --group g')).lines.slice(1)).toEqual([
      expect.stringMatching(/cli:\d+ +discard +g +\S+ +1$/),
      expect.stringMatching(/cli:\d+ +edit-dead-letter +g +\S+ body, headers +1$/),
      expect.stringMatching(/cli:\d+ +redrive-all +g +\{"topic":"order","tag":"t"\} +2$/),
    ]);
    expect((await run(`trace ${receipts[1]?.messageId}`)).text).toContain('redriven');
  });

  it('shows groups, lag, timers and transactions, and resets a group', async () => {
    await port.send([{ topic: 'order', tag: 't', body: Buffer.from('a') }]);
    const half = await port.prepare('p', [{ topic: 'order', tag: 't', body: Buffer.from('half') }]);
    const consumer = await port.subscribe({ group: 'g', topics: [{ topic: 'order' }] }, ([delivery]) =>
      Promise.resolve(delivery?.ack()),
    );
    await until(async () => (await port.admin.groups())[0]?.lag === 0);
    await consumer.close();
    expect((await run('groups')).text).toMatch(/g +shared +- +0 +0 +0 +0 +1/);
    for (const to of ['4711', '3', '2026', '11-21-2026', '2026-11-21T08:00', '2026-13-41']) {
      const refused = { code: 2, error: expect.stringContaining(`${to} is neither earliest`) };
      expect(await run(`reset g ${to}`)).toMatchObject(refused);
    }
    expect((await run('lag g')).text).not.toMatch(/ 1$/m);
    for (const to of ['2026-11-21', '2026-11-21T08:00:00Z', '2026-11-21T09:00+01:00'])
      expect((await run(`reset g ${to}`)).code).toBe(0);
    expect((await run('reset g earliest')).code).toBe(0);
    expect((await run('groups --json')).text).toContain('"lag":1');
    expect((await run('lag g')).lines.length).toBeGreaterThanOrEqual(5);
    expect((await run('delete-group g')).text).toBe('g is deleted');
    expect(await run('delete-group g')).toMatchObject({
      code: 1,
      error: expect.stringMatching(/^UNKNOWN_GROUP/),
    });
    await port.admin.createTopic('old');
    expect((await run('delete-topic old')).text).toBe('old is deleted');
    expect((await run('audit --limit 2')).text).toMatch(/delete-group +g +g +1\n.* delete-topic +old +1$/);
    expect((await run('produce order t later --delay 60000 --timer t1')).text).toContain('delayed');
    expect((await run('timers')).lines[1]).toMatch(/^ +1 +0 +\d{4}-/);
    const refused = { code: 2, error: expect.stringContaining('4711 is no time') };
    expect(await run('reschedule t1 4711')).toMatchObject(refused);
    const later = '2027-01-01T00:00:00.000Z';
    expect((await run(`reschedule t1 ${later}`)).text).toBe(`due at ${later}`);
    expect((await run('timers')).text).toContain(later);
    expect((await run(`reschedule t2 ${later}`)).text).toContain('nothing waits');
    expect((await run('recall t1')).text).toContain('recalled');
    expect((await run('transactions')).text).toBe('1 pending, 0 parked');
    expect((await run(`decide ${half.transactionId} commit`)).text).toBe('committed');
    expect((await run('transactions')).text).toBe('0 pending, 0 parked');
    expect(await run(`decide ${half.transactionId} rollback`)).toMatchObject({
      code: 1,
      error: expect.stringMatching(/^TRANSACTION_CONFLICT/),
    });
  });

  it('says in one line what went wrong, and answers with an exit code', async () => {
    expect(await run('peek nothing')).toMatchObject({
      code: 1,
      error: expect.stringMatching(/^UNKNOWN_TOPIC: [^\n]+$/),
    });
    expect(await run('topics --token wrong')).toMatchObject({
      code: 1,
      error: expect.stringMatching(/^AUTHENTICATION_FAILED/),
    });
    expect(await run('nonsense')).toMatchObject({
      code: 2,
      error: expect.stringContaining('there is no command "nonsense"'),
    });
    expect(await run('peek')).toMatchObject({ code: 2, error: expect.stringContaining('TOPIC is missing') });
    expect(await run('topics --nonsense')).toMatchObject({ code: 2 });
    expect(await run('help')).toMatchObject({ code: 0 });
  });
});
