import { Controller, Get, Module, Post, Req } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { FastifyRequest } from 'fastify';
import { EventEmitter, once } from 'node:events';
import { connect } from 'node:net';
import { z } from 'zod';
import { BROKER_PORT, DomainError, MessagingError, type ErrorKind } from '#libs/messaging';
import { CurrentUser, Public, Roles } from '../auth/decorators.js';
import { signToken, type User } from '../auth/tokens.js';
import { serve, type RunningService } from '../boot.js';
import { currentCorrelation } from '../logs/correlation.js';
import { RawBody, ServiceAdapter } from './fastify.js';
import { ServiceModule } from '../service.module.js';
import { ZodBody, ZodQuery } from '../validation/zod-params.js';

const SECRET = 'a secret of thirty-two characters';
const OLDER_SECRET = 'the secret before it and as long as it has to be';
/** The slow handler tells that it has begun, and is told to end. */
const slow = new EventEmitter();
const Order = z.strictObject({ ticketTypeId: z.string(), quantity: z.int().min(1) });

@Controller('things')
class ThingsController {
  @Get('mine')
  mine(@CurrentUser() user: User): User {
    return user;
  }

  @Get('secret')
  @Roles('admin')
  secret(): string[] {
    return ['secret'];
  }

  @Post('orders')
  @Public()
  order(@ZodBody(Order) order: unknown): unknown {
    return { order, correlation: currentCorrelation() };
  }

  @Get('page')
  @Public()
  page(@ZodQuery(z.object({ limit: z.coerce.number().int() })) query: unknown): unknown {
    return query;
  }

  @Post('webhook')
  @Public()
  @RawBody()
  webhook(@Req() request: FastifyRequest): unknown {
    return { raw: request.rawBody?.toString('utf8') };
  }

  @Get('slow')
  @Public()
  async slow(): Promise<string[]> {
    slow.emit('begun');
    await once(slow, 'end');
    return ['late'];
  }

  @Get('fails/:kind')
  @Public()
  fails(@Req() request: FastifyRequest<{ Params: { kind: string } }>): never {
    const { kind } = request.params;
    if (kind === 'bug') throw new TypeError('password=hunter2 is not a function');
    if (kind === 'broker') throw new MessagingError('BROKER_UNAVAILABLE', 'tcp://10.0.0.1 refused');
    throw new DomainError('ORDER_REFUSED', kind as ErrorKind, 'It is refused.', 2_500);
  }
}

@Module({ imports: [ServiceModule.forRoot({ name: 'fixture' })], controllers: [ThingsController] })
class FixtureModule {}

let service: RunningService;
const before = { ...process.env };

beforeAll(async () => {
  Object.assign(process.env, {
    NODE_ENV: 'test',
    JWT_SECRET: SECRET,
    JWT_SECRET_PREVIOUS: OLDER_SECRET,
    PORT: '0',
    LOG_LEVEL: 'silent',
  });
  const testing = await Test.createTestingModule({ imports: [FixtureModule] })
    .overrideProvider(BROKER_PORT)
    .useValue({ ready: () => Promise.resolve(), close: () => Promise.resolve() })
    .compile();
  service = await serve(
    testing.createNestApplication<NestFastifyApplication>(new ServiceAdapter()),
    'fixture',
  );
  await service.consuming;
});
afterAll(async () => {
  await service?.close();
  process.env = before;
});

type Answer = { status: number; headers: Headers; body: Record<string, unknown> };

async function call(path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(service.url + path, init);
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>,
  };
}

const json = (body: string, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  body,
  headers: { 'content-type': 'application/json', ...headers },
});

function expectProblem(answer: Answer, status: number, code: string): void {
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(Object.keys(answer.body).sort()).toEqual([
    'code',
    'correlationId',
    'detail',
    'status',
    'title',
    'type',
  ]);
  expect(answer.body).toMatchObject({ status, code });
  expect(answer.status).toBe(status);
  expect(answer.headers.get('x-correlation-id')).toBe(answer.body['correlationId']);
}

describe('every refusal is problem+json', () => {
  test('an unknown path', async () => {
    expectProblem(await call('/nothing/here'), 404, 'NOT_FOUND');
    expectProblem(await call('/nothing', json('{}')), 404, 'NOT_FOUND');
  });

  test('a wrong method on a known path, with what is allowed', async () => {
    const answer = await call('/things/orders', { method: 'DELETE' });
    expectProblem(answer, 405, 'METHOD_NOT_ALLOWED');
    expect(answer.headers.get('allow')).toBe('POST');
  });

  test.each([
    ['broken JSON', '{"quantity":'],
    ['a body that is not the schema', '{"ticketTypeId":"tt","quantity":0}'],
    ['a field that nobody asked for', '{"ticketTypeId":"tt","quantity":1,"price":0}'],
    ['a poisoned prototype', '{"__proto__":{"admin":true},"ticketTypeId":"tt","quantity":1}'],
    ['no body at all', ''],
  ])('%s', async (_what, body) => {
    expectProblem(await call('/things/orders', json(body)), 400, 'INVALID_REQUEST');
  });

  test('names every field that is wrong', async () => {
    const { body } = await call('/things/orders', json('{"quantity":"two"}'));
    expect(body['detail']).toMatch(/body\.ticketTypeId: .*; body\.quantity: /);
    expectProblem(await call('/things/page?limit=x'), 400, 'INVALID_REQUEST');
  });

  test('a body over 64 KiB, while one of exactly 64 KiB is read', async () => {
    const ofBytes = (bytes: number): string => `{"pad":"${'x'.repeat(bytes - 10)}"}`;
    expectProblem(await call('/things/orders', json(ofBytes(65_537))), 413, 'BODY_TOO_LARGE');
    expectProblem(await call('/things/orders', json(ofBytes(65_536))), 400, 'INVALID_REQUEST');
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/xml', 'multipart/form-data'])(
    'a body of type %s',
    async (type) => {
      const answer = await call('/things/orders', json('quantity=1', { 'content-type': type }));
      expectProblem(answer, 415, 'UNSUPPORTED_MEDIA_TYPE');
    },
  );

  test('a URL that cannot be decoded', async () => {
    expectProblem(await call('/things/%ZZ'), 400, 'INVALID_REQUEST');
  });

  test('bytes that are not HTTP', async () => {
    const { port } = new URL(service.url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.end('NOT HTTP\r\n\r\n');
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    expect(answer).toMatch(/^HTTP\/1.1 400 Bad Request\r\nContent-Type: application\/problem\+json/);
    expect(answer).toContain('"code":"INVALID_REQUEST"');
  });

  test.each([
    ['invalid', 400],
    ['not-found', 404],
    ['conflict', 409],
    ['transient', 503],
    ['unknown', 500],
  ])('a domain error of kind %s is a %i', async (kind, status) => {
    const answer = await call(`/things/fails/${kind}`);
    expectProblem(answer, status, 'ORDER_REFUSED');
    expect(answer.headers.get('retry-after')).toBe(status === 503 ? '3' : null);
  });

  test('a bug, without a word about the inside', async () => {
    const answer = await call('/things/fails/bug');
    expectProblem(answer, 500, 'INTERNAL_ERROR');
    expect(JSON.stringify(answer.body)).not.toContain('hunter2');
  });

  test('a broker that is away', async () => {
    const answer = await call('/things/fails/broker');
    expectProblem(answer, 503, 'SERVICE_UNAVAILABLE');
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(JSON.stringify(answer.body)).not.toContain('10.0.0.1');
  });
});

describe('a bearer token', () => {
  const bearer = async (...roles: string[]): Promise<RequestInit> => ({
    headers: {
      authorization: `Bearer ${signToken({ sub: 'u1', roles, expiresInSeconds: 60 }, SECRET)}`,
    },
  });

  test('is needed on every route that is not public', async () => {
    const answer = await call('/things/mine');
    expectProblem(answer, 401, 'UNAUTHENTICATED');
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    expectProblem(
      await call('/things/mine', { headers: { authorization: 'Bearer nonsense' } }),
      401,
      'UNAUTHENTICATED',
    );
  });

  test('names the caller', async () => {
    expect((await call('/things/mine', await bearer('admin'))).body).toEqual({
      userId: 'u1',
      roles: ['admin'],
    });
  });

  test('holds under an older secret that is still listed, and under no other', async () => {
    const signed = (secret: string): RequestInit => {
      const token = signToken({ sub: 'u1', roles: [], expiresInSeconds: 60 }, secret);
      return { headers: { authorization: `Bearer ${token}` } };
    };
    expect((await call('/things/mine', signed(OLDER_SECRET))).body).toMatchObject({ userId: 'u1' });
    expectProblem(await call('/things/mine', signed(`${OLDER_SECRET}!`)), 401, 'UNAUTHENTICATED');
  });

  test('opens a restricted route only with the role', async () => {
    expectProblem(await call('/things/secret', await bearer()), 403, 'FORBIDDEN');
    expect((await call('/things/secret', await bearer('admin'))).status).toBe(200);
  });
});

describe('a request', () => {
  const order = '{"ticketTypeId":"tt","quantity":1}';

  test('keeps the correlation id that it brings, down to the handler', async () => {
    const answer = await call('/things/orders', json(order, { 'x-correlation-id': 'mine-1' }));
    expect(answer.headers.get('x-correlation-id')).toBe('mine-1');
    expect(answer.body['correlation']).toEqual({ correlationId: 'mine-1' });
  });

  test('takes the trace id where it brings none', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const answer = await call('/things/orders', json(order, { traceparent }));
    expect(answer.headers.get('x-correlation-id')).toBe('0af7651916cd43dd8448eb211c80319c');
  });

  test('cannot spoil a log line with its correlation id', async () => {
    const answer = await call('/things/orders', json(order, { 'x-correlation-id': 'a b {"level":"fatal"}' }));
    expect(answer.headers.get('x-correlation-id')).toMatch(/^[0-9a-f]{32}$/);
  });

  test('has its raw body at hand, byte for byte', async () => {
    const body = '{ "b" : 1,\n "a" : "\\u00e4ä" }';
    expect((await call('/things/webhook', json(body))).body).toEqual({ raw: body });
  });
});

describe('what every service answers', () => {
  test('live and ready, naming what it depends on', async () => {
    expect((await call('/health/live')).body).toEqual({ status: 'ok' });
    expect((await call('/health/ready')).body).toEqual({
      status: 'ok',
      checks: { broker: 'ok', batches: 'ok', consumers: 'ok' },
    });
  });

  test('metrics by route, not by URL', async () => {
    await call('/things/fails/conflict');
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    expect(metrics).toMatch(
      /http_request_duration_seconds_count\{[^}]*route="\/things\/fails\/:kind"[^}]*status="409"/,
    );
    expect(metrics).toContain('process_cpu_seconds_total');
    expect(metrics).not.toContain('/things/fails/conflict');
  });

  test('a request whose client hangs up is measured, once', async () => {
    const slowRequests = async (): Promise<string[]> => {
      const metrics = await (await fetch(`${service.url}/metrics`)).text();
      return metrics.match(/^http_request_duration_seconds_count\{.*route="\/things\/slow".*$/gm) ?? [];
    };
    const [begun, client] = [once(slow, 'begun'), new AbortController()];
    const request = fetch(`${service.url}/things/slow`, { signal: client.signal });
    await begun;
    client.abort();
    await expect(request).rejects.toThrow('aborted');
    const deadlineMs = Date.now() + 15_000;
    while ((await slowRequests()).length === 0 && Date.now() < deadlineMs);
    slow.emit('end');
    expect(await slowRequests()).toEqual([expect.stringMatching(/status="499".* 1$/)]);
  });
});

describe('text that cannot be stored as it came', () => {
  const invalid = { status: 400, body: { code: 'INVALID_REQUEST' } };
  const order = (ticketTypeId: string): string => `{"ticketTypeId":${ticketTypeId},"quantity":1}`;

  test.each([
    ['a NUL', order(String.raw`"a\u0000b"`)],
    ['half a surrogate pair', order(String.raw`"\ud83d"`)],
    ['the halves in the wrong order', order(String.raw`"\ude00\ud83d"`)],
    ['a NUL in a name', String.raw`{"a\u0000":1}`],
    ['a NUL far down', `${'['.repeat(20_000)}${String.raw`"\u0000"`}${']'.repeat(20_000)}`],
  ])('%s is refused in a body', async (_name, body) => {
    const answer = await call('/things/orders', json(body));
    expect(answer).toMatchObject(invalid);
    expect(String(answer.body['detail'])).toContain('body: text with a NUL');
  });

  test('is refused in a path and in a query', async () => {
    expect(await call('/things/fails/a%00b')).toMatchObject(invalid);
    expect(await call('/things/page?limit=1&cursor=%00')).toMatchObject(invalid);
  });

  test('is refused where it is no text at all', async () => {
    const body = Buffer.concat([
      Buffer.from('{"ticketTypeId":"'),
      Buffer.from([0xff]),
      Buffer.from('","quantity":1}'),
    ]);
    const answer = await call('/things/orders', { ...json(''), body });
    expect(answer).toMatchObject({ ...invalid, body: { detail: 'body: is not UTF-8' } });
  });

  test.each([String.raw`{"a":"\u0000 \ud83d"}`, '{"a":'])(
    'reaches the route that reads the bytes of its body: %s',
    async (body) => {
      expect(await call('/things/webhook', json(body))).toMatchObject({ status: 201, body: { raw: body } });
    },
  );

  test('is not what people write: whole pairs, escaped or not', async () => {
    const answer = await call('/things/orders', json(order(String.raw`"演唱会 😀 \ud83d\ude00 \\u0000"`)));
    expect(answer.body).toMatchObject({ order: { ticketTypeId: '演唱会 😀 😀 \\u0000' } });
  });
});
