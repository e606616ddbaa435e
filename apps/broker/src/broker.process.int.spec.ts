import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fs, { type StatsFs } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { pino } from 'pino';
import { connectBroker } from '#libs/broker';
import { exitCodeOf, loadConfig } from '#libs/service-kit/process';
import { lineOf, startBroker } from './boot-broker.js';
import type { RunningBroker } from './boot-broker.js';
import { BrokerConfig, brokerOptions } from './broker.config.js';

const logger = pino({ level: 'silent' });

describe('the broker process', () => {
  let dir: string;
  let env: Record<string, string>;
  let running: RunningBroker;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'broker-process-'));
    env = { BROKER_DIR: dir, BROKER_TOKEN: 'secret', BROKER_PORT: '0', PORT: '0' };
    running = await startBroker(loadConfig(BrokerConfig, env), logger);
  });
  afterEach(async () => {
    await running.close();
    await rm(dir, { recursive: true, force: true });
  });

  it('serves messages, health and metrics, and keeps the messages over a restart', async () => {
    const port = connectBroker({ url: running.url, token: 'secret', clientName: 'spec', log: logger });
    await port.send([{ topic: 'order', tag: 'paid', body: Buffer.from('{}') }]);
    expect((await fetch(`${running.httpUrl}/health/live`)).status).toBe(200);
    expect((await fetch(`${running.httpUrl}/health/ready`)).status).toBe(200);
    await port.subscribe(
      { group: 'g', topics: [{ topic: 'nothing' }, { topic: 'order', tags: ['x'] }] },
      () => Promise.resolve(),
    );
    const metrics = await (await fetch(`${running.httpUrl}/metrics`)).text();
    expect(metrics).toContain('broker_topic_messages{topic="order",service="broker"} 1');
    expect(metrics).toMatch(/broker_group_members\{group="g",service="broker"\} 1/);
    await port.close();
    await running.close();
    running = await startBroker(loadConfig(BrokerConfig, env), logger);
    const again = connectBroker({ url: running.url, token: 'secret', clientName: 'spec', log: logger });
    const [topic] = await again.admin.topics();
    expect(topic?.partitions.reduce((sum, { endOffset }) => sum + endOffset, 0)).toBe(1);
    await again.close();
  });

  it('stays ready while its disk is nearly full, and tells it in words and figures', async () => {
    await running.close();
    const statfs = jest.spyOn(fs.promises, 'statfs');
    statfs.mockResolvedValue({ bavail: 10, bsize: 100, blocks: 1_000 } as StatsFs);
    running = await startBroker(loadConfig(BrokerConfig, env), logger);
    const ready = await fetch(`${running.httpUrl}/health/ready`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({
      status: 'ok',
      checks: { broker: 'ok', disk: expect.stringContaining('nearly full, 1000 bytes free') as unknown },
    });
    const metrics = await (await fetch(`${running.httpUrl}/metrics`)).text();
    expect(metrics).toMatch(/broker_storage_short\{.*\} 1/);
    expect(metrics).toMatch(/broker_storage_free_bytes\{.*\} 1000/);
    const port = connectBroker({ url: running.url, token: 'secret', clientName: 'spec', log: logger });
    await expect(port.send([{ topic: 'order', tag: 'paid', body: Buffer.from('{}') }])).rejects.toMatchObject(
      { code: 'STORAGE_FULL' },
    );
    statfs.mockRestore();
    for (let disk = ''; disk !== 'ok';) {
      const { checks } = (await (await fetch(`${running.httpUrl}/health/ready`)).json()) as {
        checks: { disk: string };
      };
      disk = checks.disk;
    }
    await port.send([{ topic: 'order', tag: 'paid', body: Buffer.from('{}') }]);
    await port.close();
  });

  it('answers what it does not have as a problem', async () => {
    const answer = await fetch(`${running.httpUrl}/nothing`);
    expect(answer.status).toBe(404);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(await answer.json()).toMatchObject({ status: 404, code: 'NOT_FOUND' });
  });

  it('goes on without damaged bytes once it is told to as its refusal says', async () => {
    const small = { ...env, BROKER_SEGMENT_BYTES: String(64 * 1024) };
    await running.close();
    running = await startBroker(loadConfig(BrokerConfig, small), logger);
    const port = connectBroker({ url: running.url, token: 'secret', clientName: 'spec', log: logger });
    const body = Buffer.alloc(20_000, 'x');
    for (let n = 0; n < 8; n++) await port.send([{ topic: 'order', tag: 'paid', body }]);
    await port.close();
    await running.close();
    const segments = (await readdir(join(dir, 'journal'))).filter((name) => name.endsWith('.log')).sort();
    expect(segments.length).toBeGreaterThan(1);
    await rm(join(dir, 'journal', segments[0]!));
    const refused = startBroker(loadConfig(BrokerConfig, small), logger);
    await expect(refused).rejects.toThrow(/LOG_CORRUPT.*BROKER_ON_DAMAGE=quarantine/);
    const told = { ...small, BROKER_ON_DAMAGE: 'quarantine' };
    running = await startBroker(loadConfig(BrokerConfig, told), logger);
    expect((await fetch(`${running.httpUrl}/health/ready`)).status).toBe(200);
  });

  it('says in one line that its directory or a port is taken', async () => {
    const second = startBroker(loadConfig(BrokerConfig, env), logger);
    await expect(second).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    const taken = new URL(running.httpUrl).port;
    const other = await mkdtemp(join(tmpdir(), 'broker-process-'));
    const third = await startBroker(
      loadConfig(BrokerConfig, { ...env, BROKER_DIR: other, PORT: taken }),
      logger,
    ).catch((error: unknown) => lineOf(error));
    expect(third).toBe(`port ${taken} is in use; set PORT (health, metrics) or BROKER_PORT (clients)`);
    await rm(other, { recursive: true });
  });

  it('ends with another code when a further start would not help', async () => {
    const codeWith = (more: Record<string, string>): Promise<number> =>
      startBroker(loadConfig(BrokerConfig, { ...env, ...more }), logger).then(() => 0, exitCodeOf);
    const file = join(dir, 'file');
    await writeFile(file, '');
    expect(await codeWith({ BROKER_DIR: join(file, 'journal') })).toBe(78);
    expect(await codeWith({ PORT: new URL(running.httpUrl).port })).toBe(78);
    const other = { BROKER_DIR: join(dir, 'other') };
    expect(await codeWith({ ...other, BROKER_TLS_KEY: file, BROKER_TLS_CERT: join(dir, 'none') })).toBe(78);
    // Whoever has it may be on the way out.
    expect(await codeWith({})).toBe(1);
  });
});

describe('the configuration of the broker process', () => {
  const env = { BROKER_DIR: '/data', BROKER_TOKEN: 'secret' };

  it('takes host and port from BROKER_URL unless they are set apart', () => {
    const url = { ...env, BROKER_URL: 'tcp://broker:7000' };
    expect(loadConfig(BrokerConfig, url)).toMatchObject({ HOST: 'broker', BROKER_PORT: 7000 });
    expect(loadConfig(BrokerConfig, { ...url, HOST: '0.0.0.0' })).toMatchObject({
      HOST: '0.0.0.0',
      BROKER_PORT: 7000,
    });
    expect(loadConfig(BrokerConfig, env)).toMatchObject({ HOST: '127.0.0.1', BROKER_PORT: 7650, PORT: 3006 });
  });

  it('takes how the journal is kept, within bounds', () => {
    expect(brokerOptions(loadConfig(BrokerConfig, env))).toMatchObject({
      flush: 'sync',
      onDamage: 'refuse',
      retention: { maxAgeMs: 7 * 24 * 3_600_000, maxBytes: Infinity, unsettled: 'keep' },
    });
    const given = {
      BROKER_FLUSH: 'async',
      BROKER_ASYNC_FLUSH_MS: '50',
      BROKER_ON_DAMAGE: 'quarantine',
      BROKER_RETENTION_MS: '3600000',
      BROKER_RETENTION_BYTES: '1000000',
      BROKER_RETENTION_UNSETTLED: 'drop',
      BROKER_DEAD_LETTER_RETENTION_MS: '60000',
      BROKER_DEAD_LETTERS_PER_GROUP: '10',
      BROKER_SEGMENT_BYTES: '65536',
      BROKER_RESERVE_BYTES: '1048576',
      BROKER_TRACE_STEPS: '0',
      BROKER_DEDUPLICATION_MS: '5000',
      BROKER_DEDUPLICATION_IDS: '1000',
    };
    expect(brokerOptions(loadConfig(BrokerConfig, { ...env, ...given }))).toEqual({
      dir: '/data',
      flush: 'async',
      asyncFlushMs: 50,
      onDamage: 'quarantine',
      retention: { maxAgeMs: 3_600_000, maxBytes: 1_000_000, unsettled: 'drop' },
      deadLetters: { maxAgeMs: 60_000, maxPerGroup: 10 },
      segmentBytes: 65_536,
      reserveBytes: 1_048_576,
      traceSteps: 0,
      deduplication: { windowMs: 5_000, maxIds: 1_000 },
    });
    for (const [name, value] of [
      ['BROKER_FLUSH', 'never'],
      ['BROKER_SEGMENT_BYTES', '1000'],
      ['BROKER_RETENTION_MS', '0'],
      ['BROKER_RETENTION_UNSETTLED', 'maybe'],
    ])
      expect(() => loadConfig(BrokerConfig, { ...env, [name!]: value })).toThrow(`${name}: `);
  });

  it('names the variable that is missing or wrong', () => {
    expect(() => loadConfig(BrokerConfig, { BROKER_DIR: '/data' })).toThrow('BROKER_TOKEN: is required');
    expect(() => loadConfig(BrokerConfig, { ...env, BROKER_URL: 'http://x' })).toThrow(
      'BROKER_URL: must be tcp://host:port',
    );
    expect(() => loadConfig(BrokerConfig, { ...env, NODE_ENV: 'production' })).toThrow(
      'BROKER_TOKEN: must have at least',
    );
  });
});
