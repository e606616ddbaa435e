import { Controller, Get, Module, StreamableFile } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { z } from 'zod';
import {
  BROKER_PORT,
  Consume,
  defineEvent,
  MessagingError,
  MessagingServer,
  type BatchHandler,
} from '#libs/messaging';
import { Public } from './auth/decorators.js';
import { serve, type RunningService } from './boot.js';
import { ServiceAdapter } from './http/fastify.js';
import { ServiceModule } from './service.module.js';
import { repositoryRoot } from './testing/repository-root.js';

const Tick = defineEvent({
  topic: 'tick',
  tag: 'ticked',
  version: 1,
  key: () => 'k',
  payload: z.object({}),
});

/** What happened, in order. */
let events: string[];
/** Lets the request and the message that are in flight go on. */
let release: () => void;
let released: Promise<void>;
let requestEntered: () => void;

@Controller()
class SlowController {
  @Get('slow')
  @Public()
  async slow(): Promise<string> {
    requestEntered();
    await released;
    events.push('request answered');
    return 'done';
  }

  @Get('endless')
  @Public()
  endless(): StreamableFile {
    const stream = new PassThrough();
    stream.write('begun');
    return new StreamableFile(stream);
  }

  @Consume(Tick, { group: 'fixture.tick' })
  async tick(): Promise<void> {
    await released;
    events.push('message handled');
  }
}

@Module({ imports: [ServiceModule.forRoot({ name: 'fixture' })], controllers: [SlowController] })
class SlowModule {}

/** A port that is away until `reachable`, delivers nothing, and writes down in which order it is taken leave of. */
function recordingBroker(reachable: () => boolean): object {
  let inFlight: Promise<void> = Promise.resolve();
  return {
    ready: async () => {
      if (!reachable()) throw new MessagingError('BROKER_UNAVAILABLE', 'not yet');
    },
    onCheckBack: async () => undefined,
    subscribe: async (_subscription: unknown, handler: BatchHandler) => {
      events.push('subscribed');
      inFlight = handler([delivery()]);
      return {
        close: async () => {
          events.push('consumers draining');
          await inFlight;
        },
      };
    },
    close: async () => void events.push('broker closed'),
  };
}

function delivery(): Parameters<BatchHandler>[0][number] {
  const message = {
    ...{ id: 'm', topic: 'tick', tag: 'ticked', key: 'k', partition: 0, offset: 0, headers: {}, priority: 4 },
    ...{ body: Buffer.from('{}'), bornAtMs: Date.now(), storedAtMs: Date.now() },
  };
  return {
    ...{ message, attempt: 1, history: [], signal: new AbortController().signal },
    ack: async () => void events.push('message acked'),
    retry: async () => undefined,
    deadLetter: async () => undefined,
    extend: async () => undefined,
  };
}

async function start(reachable: () => boolean = () => true): Promise<RunningService> {
  const testing = await Test.createTestingModule({ imports: [SlowModule] })
    .overrideProvider(BROKER_PORT)
    .useValue(recordingBroker(reachable))
    .compile();
  return serve(testing.createNestApplication<NestFastifyApplication>(new ServiceAdapter()), 'fixture');
}

const environment = { ...process.env };
beforeEach(() => {
  Object.assign(process.env, { NODE_ENV: 'test', JWT_SECRET: 'secret', PORT: '0', LOG_LEVEL: 'silent' });
  events = [];
  released = new Promise((resolve) => (release = resolve));
});
afterEach(() => {
  process.env = { ...environment };
});

test('a group that waits for what is away leaves its service ready; one that does not get on does not', async () => {
  release();
  const service = await start();
  await service.consuming;
  const troubles = jest.spyOn(service.app.get(MessagingServer), 'troubles');
  const ready = async (isPause: boolean): Promise<number> => {
    troubles.mockReturnValue([{ group: 'fixture.tick', detail: 'does not get on', isHang: false, isPause }]);
    return (await fetch(`${service.url}/health/ready`)).status;
  };
  expect(await ready(true)).toBe(200);
  expect(await ready(false)).toBe(503);
  await service.close();
});

test('a handler that hangs for good makes its service dead, so that it is started anew; one that is slow does not', async () => {
  release();
  const service = await start();
  await service.consuming;
  const troubles = jest.spyOn(service.app.get(MessagingServer), 'troubles');
  const live = async (isHang: boolean): Promise<Response> => {
    troubles.mockReturnValue([{ group: 'fixture.tick', detail: 'is at work', isHang, isPause: false }]);
    return fetch(`${service.url}/health/live`);
  };
  expect((await live(false)).status).toBe(200);
  const dead = await live(true);
  expect(dead.status).toBe(503);
  expect(await dead.json()).toMatchObject({ code: 'NOT_LIVE', detail: 'consumers: fixture.tick is at work' });
  await service.close();
});

describe('shutting down', () => {
  test('finishes the request and the message in flight before it lets go of the broker', async () => {
    const entered = new Promise<void>((resolve) => (requestEntered = resolve));
    const service = await start();
    await service.consuming;
    const answer = fetch(`${service.url}/slow`);
    await entered;
    const closed = service.close();
    const again = service.close();
    expect(events).toEqual(['subscribed', 'consumers draining']);
    release();
    expect(await (await answer).text()).toBe('done');
    await Promise.all([closed, again]);
    expect(events.slice(2, -1).sort()).toEqual(['message acked', 'message handled', 'request answered']);
    expect(events.at(-1)).toBe('broker closed');
    await expect(fetch(`${service.url}/health/live`)).rejects.toThrow();
  });

  test('first goes on answering for DRAIN_MS, and tells clients to come on another connection', async () => {
    process.env['DRAIN_MS'] = '2500';
    release();
    const service = await start();
    await service.consuming;
    expect((await fetch(`${service.url}/health/live`)).headers.get('connection')).toBe('keep-alive');
    const [closed, sinceMs] = [service.close(), performance.now()];
    expect((await fetch(`${service.url}/health/ready`)).status).toBe(503);
    for (let asked = 0; asked < 5; asked += 1) {
      const answer = await fetch(`${service.url}/health/live`);
      expect(answer.status).toBe(200);
      expect(answer.headers.get('connection')).toBe('close');
      expect(events).not.toContain('consumers draining');
    }
    await closed;
    expect(performance.now() - sinceMs).toBeGreaterThan(2_490);
    await expect(fetch(`${service.url}/health/live`)).rejects.toThrow();
  });

  test('cuts off a response that does not end', async () => {
    release();
    const service = await start();
    await service.consuming;
    const endless = fetch(`${service.url}/endless`).then(({ body }) => body?.getReader());
    const reader = await endless;
    await reader?.read();
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'Date'] });
    try {
      const closed = service.close();
      const cutOff = expect(reader?.read()).rejects.toThrow();
      await jest.advanceTimersByTimeAsync(5_000);
      await cutOff;
      await closed;
    } finally {
      jest.useRealTimers();
    }
    expect(events.at(-1)).toBe('broker closed');
  });

  test('answers that it is not ready while it finishes', async () => {
    const service = await start();
    await service.consuming;
    const closed = service.close();
    const answer = await fetch(`${service.url}/health/ready`);
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ code: 'NOT_READY', detail: 'service: is shutting down' });
    release();
    await closed;
  });
});

describe('starting without a broker', () => {
  test('is live, is not ready, and consumes as soon as the broker is there', async () => {
    let reachable = false;
    release();
    const service = await start(() => reachable);
    try {
      expect((await fetch(`${service.url}/health/live`)).status).toBe(200);
      expect((await fetch(`${service.url}/health/ready`)).status).toBe(503);
      expect(events).toEqual([]);
      reachable = true;
      await service.consuming;
      expect(events[0]).toBe('subscribed');
      expect((await fetch(`${service.url}/health/ready`)).status).toBe(200);
    } finally {
      await service.close();
    }
  });

  test('can be shut down again', async () => {
    const service = await start(() => false);
    await service.close();
    await service.consuming;
    expect(events).toEqual(['broker closed']);
  });
});

describe('the process', () => {
  async function run(env: Record<string, string>): Promise<{ code: number; output: string }> {
    const root = repositoryRoot();
    const args = [
      '--conditions=source',
      '--import',
      '@swc-node/register/esm-register',
      '--input-type=module',
      '-e',
    ];
    const code = `
      import { Module } from '@nestjs/common';
      import { bootService, ServiceModule } from '#libs/service-kit';
      class Fixture {}
      Module({ imports: [ServiceModule.forRoot({ name: 'fixture' })] })(Fixture);
      await bootService({ name: 'fixture', module: Fixture });`;
    const child = spawn(process.execPath, [...args, code], {
      cwd: root,
      env: { PATH: process.env['PATH'], PORT: '0', JWT_SECRET: 'secret', ...env },
    });
    let output = '';
    const read = (chunk: Buffer): void => {
      output += chunk.toString();
      if (output.includes('no connection to the broker')) child.kill('SIGTERM');
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    const [exitCode] = (await once(child, 'close')) as [number];
    return { code: exitCode, output };
  }

  test.each([
    [{ PORT: 'eighty' }, /^fixture: wrong configuration: PORT: [^\n]+\n$/],
    [{ BROKER: 'kafka' }, /^fixture: BROKER=kafka is not available yet\n$/],
    [{ PORT: '1', HOST: '192.0.2.1' }, /^fixture: the port cannot be used \([^\n]+\); set PORT or HOST\n$/],
  ])(
    'ends with one line and code 78 for %j',
    async (env, line) => {
      const { code, output } = await run(env);
      expect(output).toMatch(line);
      expect(code).toBe(78);
    },
    30_000,
  );

  test('ends with code 0 on SIGTERM, also while it waits for its broker', async () => {
    const { code, output } = await run({ BROKER_URL: 'tcp://127.0.0.1:9' });
    expect(output).toContain('shutting down');
    expect(code).toBe(0);
  }, 30_000);
});
