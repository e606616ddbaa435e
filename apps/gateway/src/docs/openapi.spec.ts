import { expect, test } from '@jest/globals';
import { NewShow } from '#libs/contracts';
import { openApiDocument } from './openapi.js';

test('the description is OpenAPI 3.1 and has every call of the API', () => {
  const document = openApiDocument();
  expect(document.openapi).toBe('3.1.0');
  const calls = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.keys(item ?? {}).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(calls.sort()).toEqual([
    'DELETE /api/ops/dead-letters/{id}',
    'GET /api/ops/alerts',
    'GET /api/ops/audit',
    'GET /api/ops/dead-letters',
    'GET /api/ops/dead-letters/{id}',
    'GET /api/ops/groups',
    'GET /api/ops/mailbox',
    'GET /api/ops/messages',
    'GET /api/ops/messages/{id}/trace',
    'GET /api/ops/verdict',
    'GET /api/orders',
    'GET /api/orders/{orderNo}',
    'GET /api/orders/{orderNo}/events',
    'GET /api/provider/checkouts/{intentId}',
    'GET /api/shows',
    'GET /health/ready',
    'PATCH /api/ops/dead-letters/{id}',
    'POST /api/admin/shows',
    'POST /api/auth/codes',
    'POST /api/auth/sessions',
    'POST /api/ops/dead-letters/redrive',
    'POST /api/ops/dead-letters/{id}/redrive',
    'POST /api/ops/groups/{group}/reset',
    'POST /api/ops/verdict/accepted',
    'POST /api/orders',
    'POST /api/orders/{orderNo}/cancel',
    'POST /api/orders/{orderNo}/events/token',
    'POST /api/orders/{orderNo}/payments',
    'POST /api/payments/webhook',
    'POST /api/provider/checkouts/{intentId}',
  ]);
});

test('every call has a name of its own, and says what it refuses', () => {
  const operations = Object.values(openApiDocument().paths ?? {}).flatMap((item) =>
    Object.values(item as Record<string, { operationId: string; responses: object; security?: object }>),
  );
  const names = operations.map(({ operationId }) => operationId);
  expect(new Set(names).size).toBe(names.length);
  expect(names).not.toContain(undefined);
  for (const { responses, security } of operations) {
    expect(responses).toHaveProperty('400');
    if (security === undefined) expect(responses).toHaveProperty('401');
  }
});

test('every link leads to a call that takes what it carries', () => {
  const { paths } = openApiDocument();
  type Operation = {
    operationId: string;
    parameters?: { name: string }[];
    requestBody?: object;
    responses: Record<string, { links?: Record<string, Link> }>;
  };
  type Link = { operationId: string; parameters?: object; requestBody?: object };
  const operations = Object.values(paths ?? {}).flatMap((item) =>
    Object.values(item as unknown as Record<string, Operation>),
  );
  const links = operations
    .flatMap(({ responses }) => Object.values(responses))
    .flatMap(({ links = {} }) => Object.values(links));
  for (const { operationId, parameters = {}, requestBody } of links) {
    const target = operations.find((each) => each.operationId === operationId);
    const taken = target?.parameters?.map(({ name }) => name) ?? [];
    expect([operationId, taken]).toEqual([operationId, expect.arrayContaining(Object.keys(parameters))]);
    if (requestBody !== undefined) expect(target).toHaveProperty('requestBody');
  }
  const linked = new Set(links.map(({ operationId }) => operationId));
  for (const operationId of ['placeOrder', 'payOrder', 'cancelOrder', 'redriveDeadLetter']) {
    expect(linked).toContain(operationId);
  }
});

test('the example of a show can be put on sale', () => {
  const media = openApiDocument().paths?.['/api/admin/shows']?.post?.requestBody as {
    content: Record<string, { example: unknown }>;
  };
  expect(NewShow.safeParse(media.content['application/json']?.example).success).toBe(true);
});

test('text that comes in is described without what is refused in every string', () => {
  const [to] = openApiDocument().paths?.['/api/ops/mailbox']?.get?.parameters ?? [];
  const { pattern } = (to as { schema: { pattern: string } }).schema;
  expect('演唱会 😀').toMatch(new RegExp(pattern, 'u'));
  expect('a\0').not.toMatch(new RegExp(pattern, 'u'));
});

test('a call without a token says so, every other one asks for it', () => {
  const { paths } = openApiDocument();
  expect(paths?.['/api/shows']?.get?.security).toEqual([]);
  expect(paths?.['/api/orders']?.post?.security).toBeUndefined();
});
