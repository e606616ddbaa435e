import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { connectBroker } from '#libs/broker';
import { loadConfig } from '#libs/service-kit/process';
import { lineOf, startBroker } from './boot-broker.js';
import type { RunningBroker } from './boot-broker.js';
import { BrokerConfig } from './broker.config.js';

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

  it('answers what it does not have as a problem', async () => {
    const answer = await fetch(`${running.httpUrl}/nothing`);
    expect(answer.status).toBe(404);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(await answer.json()).toMatchObject({ status: 404, code: 'NOT_FOUND' });
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
