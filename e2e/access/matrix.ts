import type { Role } from '#libs/service-kit';

/** Everybody who may come to a route. The compiler wants a column for each role that there is. */
const ROLES = { admin: true, service: true } satisfies Record<Role, true>;
export const CALLERS = [
  'nobody',
  'buyer',
  'another buyer',
  ...(Object.keys(ROLES) as Role[]),
  'of a role that opens nothing',
  'with a forged token',
] as const;
export type Caller = (typeof CALLERS)[number];

/** What each caller's answer is. */
export type Answers = Readonly<Record<Caller, number>>;

export type Service = 'gateway' | 'order' | 'stock' | 'payment' | 'notification' | 'ops';

export type Row = {
  service: Service;
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** As Fastify knows it. Parameters are filled by `PARAMETERS`. */
  url: string;
  answers: Answers;
  /** What becomes of the same request at the gateway: passed on, answered by the gateway itself (another row), or unknown there. */
  edge: 'forwarded' | 'answered' | 'hidden';
  body?: object;
  headers?: Readonly<Record<string, string>>;
};

const all = (status: number): Answers =>
  Object.fromEntries(CALLERS.map((caller) => [caller, status])) as Answers;
const everybody = (status: number): Answers => all(status);
const signedIn = (status: number): Answers => ({ ...all(status), nobody: 401, 'with a forged token': 401 });
/** Another buyer's order is as unknown as one that does not exist, whatever role asks. */
const ownerOnly = (status: number): Answers => ({ ...signedIn(404), buyer: status });
const only = (role: Role, status: number): Answers => ({ ...signedIn(403), [role]: status });

/** The values of the parameters; the first two are the buyer's own orders, the others exist nowhere. */
export type Parameters = { orderNo: string; cancelledOrderNo: string };

const UUID = '00000000-0000-4000-8000-000000000000';
const INTENT = `pi_${'0'.repeat(32)}`;
const MONEY = { amountMinor: 4_950, currency: 'EUR' };

const unguarded = (service: Service): Row[] =>
  ['/health/live', '/health/ready', '/metrics'].map((url) => ({
    service,
    method: 'GET',
    url,
    answers: everybody(200),
    edge: service === 'gateway' ? 'answered' : 'hidden',
  }));

const later = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString();
/** A show that can be put on sale. */
export const newShow = () => ({
  title: 'Access',
  venue: 'A hall',
  startsAt: later(30),
  sessions: [
    {
      startsAt: later(30),
      ticketTypes: [
        {
          name: 'Seat',
          ...{ priceMinor: 4_950, currency: 'EUR' },
          quantity: 100,
          perUserLimit: 10,
          saleOpensAt: later(-1),
        },
      ],
    },
  ],
});

const ops = (method: Row['method'], url: string, status: number, body?: object): Row => ({
  ...{ service: 'ops', method, url, answers: only('admin', status), edge: 'forwarded' },
  ...(body !== undefined && { body }),
});
const provider = (method: Row['method'], url: string, answers: Answers, request: Partial<Row> = {}): Row => ({
  ...{ service: 'payment', method, url: `/api/provider${url}`, answers, edge: 'forwarded' },
  ...request,
});

/**
 * Every route of every service, and what each caller gets: the proof that a guard stands before it. Where what is
 * asked for does not exist, the one who may ask is told so (404), or what is wrong with the request (400); nobody
 * else gets as far.
 */
export const MATRIX: readonly Row[] = [
  ...(['gateway', 'order', 'stock', 'payment', 'notification', 'ops'] as const).flatMap(unguarded),

  { service: 'gateway', method: 'GET', url: '/', answers: everybody(200), edge: 'answered' },
  {
    service: 'gateway',
    method: 'POST',
    url: '/api/auth/codes',
    answers: everybody(400),
    edge: 'answered',
    body: {},
  },
  {
    service: 'gateway',
    method: 'POST',
    url: '/api/auth/sessions',
    answers: everybody(400),
    edge: 'answered',
    body: {},
  },
  {
    service: 'gateway',
    method: 'POST',
    url: '/api/orders',
    answers: signedIn(400),
    edge: 'answered',
    body: {},
  },
  {
    service: 'gateway',
    method: 'GET',
    url: '/api/orders/:orderNo',
    answers: ownerOnly(200),
    edge: 'answered',
  },
  {
    service: 'gateway',
    method: 'GET',
    url: '/api/orders/:orderNo/events',
    answers: ownerOnly(200),
    edge: 'answered',
  },
  {
    service: 'gateway',
    method: 'POST',
    url: '/api/orders/:orderNo/events/token',
    answers: ownerOnly(201),
    edge: 'answered',
  },
  {
    service: 'gateway',
    method: 'POST',
    url: '/api/orders/:orderNo/payments',
    answers: ownerOnly(201),
    edge: 'answered',
  },

  { service: 'order', method: 'GET', url: '/api/orders', answers: signedIn(200), edge: 'forwarded' },
  { service: 'order', method: 'GET', url: '/api/orders/:orderNo', answers: ownerOnly(200), edge: 'answered' },
  {
    service: 'order',
    method: 'POST',
    url: '/api/orders/:orderNo/cancel',
    answers: ownerOnly(202),
    edge: 'forwarded',
  },

  { service: 'stock', method: 'GET', url: '/api/shows', answers: everybody(200), edge: 'forwarded' },
  {
    service: 'stock',
    method: 'POST',
    url: '/api/admin/shows',
    answers: only('admin', 201),
    edge: 'forwarded',
    body: newShow(),
  },

  {
    ...{
      service: 'payment',
      method: 'POST',
      url: '/internal/payments',
      answers: only('service', 201),
      edge: 'hidden',
    },
    body: { orderNo: `0123456789-${'0'.repeat(16)}`, buyerId: 'buyer', ...MONEY },
  },
  // Its guard is the signature.
  {
    service: 'payment',
    method: 'POST',
    url: '/api/payments/webhook',
    answers: everybody(401),
    edge: 'forwarded',
    body: {},
  },
  provider('POST', '/intents', only('service', 201), { body: { reference: UUID, ...MONEY } }),
  provider('GET', '/intents/:intentId', only('service', 404)),
  provider('GET', '/events', only('service', 200)),
  provider('POST', '/refunds', only('service', 404), {
    body: { intentId: INTENT },
    headers: { 'idempotency-key': 'access' },
  }),
  provider('POST', '/dashboard/refunds', only('service', 404), { body: { intentId: INTENT } }),
  provider('POST', '/dashboard/disputes', only('service', 404), { body: { intentId: INTENT } }),
  provider('POST', '/dashboard/events', only('service', 202), { body: { type: 'access.tried' } }),
  // Whoever has the address of a checkout may pay there.
  provider('GET', '/checkouts/:intentId', everybody(404)),
  provider('POST', '/checkouts/:intentId', everybody(404), { body: { outcome: 'succeed' } }),

  // It holds sign-in codes.
  {
    service: 'notification',
    method: 'GET',
    url: '/api/ops/mailbox',
    answers: only('admin', 200),
    edge: 'forwarded',
  },

  ops('GET', '/api/ops/verdict', 200),
  ops('POST', '/api/ops/verdict/accepted', 200, { orderNos: ['unknown'] }),
  ops('GET', '/api/ops/audit', 200),
  ops('GET', '/api/ops/alerts', 200),
  ops('GET', '/api/ops/dead-letters', 200),
  ops('GET', '/api/ops/dead-letters/:id', 404),
  ops('POST', '/api/ops/dead-letters/redrive', 202, { filter: { group: 'nobody' } }),
  ops('POST', '/api/ops/dead-letters/:id/redrive', 404),
  ops('PATCH', '/api/ops/dead-letters/:id', 404, { headers: {} }),
  ops('DELETE', '/api/ops/dead-letters/:id', 404),
  ops('GET', '/api/ops/messages', 400),
  ops('GET', '/api/ops/messages/:id/trace', 200),
  ops('GET', '/api/ops/groups', 200),
  ops('POST', '/api/ops/groups/:group/reset', 404, { to: 'latest' }),
];

/** What the gateway passes on without a guard of its own: the service's answers for it. */
export const FORWARDS: readonly string[] = [
  'GET /api/shows',
  'POST /api/admin/shows',
  'GET /api/orders',
  'POST /api/orders/:orderNo/cancel',
  'POST /api/payments/webhook',
  'GET|POST|PUT|PATCH|DELETE /api/provider/*',
  'GET|POST|PUT|PATCH|DELETE /api/ops/mailbox*',
  'GET /api/ops/verdict',
  'POST /api/ops/dead-letters/redrive',
  'GET|POST|PUT|PATCH|DELETE /api/ops/*',
];

/** The row's address with its parameters filled in. */
export function pathOf({ url }: Row, { orderNo, cancelledOrderNo }: Parameters): string {
  return url
    .replace(':orderNo/cancel', `${cancelledOrderNo}/cancel`)
    .replace(':orderNo', orderNo)
    .replace(':intentId', INTENT)
    .replace(':group', 'nobody')
    .replace(':id', 'unknown');
}
