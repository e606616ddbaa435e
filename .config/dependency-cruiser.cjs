/** The rooms of the broker, from the ground up. A room imports from the floors below its own, and from no room beside it. */
const BROKER_FLOORS = [
  ['journal'],
  ['session.ts', 'in-flight.ts', 'recent-map.ts', 'answer-budget.ts'],
  ['topics', 'audit'],
  ['trace', 'wire'],
  ['host.ts'],
  ['timers', 'positions'],
  ['groups'],
  ['producers', 'dead-letters'],
  ['transactions', 'client'],
  ['engine'],
  ['server', 'inspect'],
  ['cli'],
];

function brokerRooms() {
  return BROKER_FLOORS.flatMap((floor, number) =>
    floor.map((room) => {
      const closed = BROKER_FLOORS.slice(number).flat();
      return {
        name: 'broker-arrows-run-down',
        severity: 'error',
        from: { path: pathOf([room]), pathNot: '\\.spec\\.ts$' },
        to: { path: pathOf(closed), pathNot: pathOf([room]) },
      };
    }),
  );
}

const pathOf = (rooms) =>
  `^libs/broker/src/(${rooms.map((room) => room.replace('.', '\\.')).join('|')})(/|$)`;

/** The rules of the house. e2e/boundaries.spec.ts plants a violation of each and sees it caught. */
module.exports = {
  forbidden: [
    {
      name: 'no-app-imports-another-app',
      comment: 'Services talk by messages. What two of them need is a contract or a library.',
      severity: 'error',
      from: { path: '^apps/([^/]+)/' },
      to: { path: '^apps/([^/]+)/', pathNot: '^apps/$1/' },
    },
    {
      name: 'only-modules-name-a-broker',
      comment: 'Everything else depends on the port in libs/messaging, so that the broker can be switched.',
      severity: 'error',
      from: {
        path: '^(apps|libs)/',
        pathNot: ['^libs/(broker|kafka)/', '^apps/broker/', '\\.module\\.ts$', '\\.spec\\.ts$'],
      },
      to: { path: '^libs/(broker|kafka)/' },
    },
    {
      name: 'domain-is-pure',
      comment: 'Decisions are functions of their input: no framework, no database, no I/O.',
      severity: 'error',
      from: { path: '^apps/[^/]+/src/domain/', pathNot: '\\.spec\\.ts$' },
      to: {
        path: [
          'node_modules/(@nestjs|@prisma|fastify|@fastify|ioredis|pg|undici|rxjs|pino|nodemailer)/',
          '^prisma/',
          '^libs/(broker|kafka|service-kit|redis-stock)/',
          '^(node:)?(fs|net|http|https|child_process|dgram|tls|cluster|worker_threads)(/|$)',
        ],
      },
    },
    {
      name: 'libs-import-no-app',
      severity: 'error',
      from: { path: '^libs/' },
      to: { path: '^apps/' },
    },
    {
      name: 'messaging-knows-no-implementation',
      severity: 'error',
      from: { path: '^libs/messaging/', pathNot: '\\.spec\\.ts$' },
      to: { path: '^libs/(?!messaging/)' },
    },
    {
      name: 'apps-know-no-kafka',
      comment: 'A shop moves to Kafka by a setting: the kit wires it, no service changes by a line.',
      severity: 'error',
      from: { path: '^apps/' },
      to: { path: ['^libs/kafka/', 'node_modules/kafkajs/'] },
    },
    {
      name: 'kafka-knows-the-port-and-the-wheel',
      comment: 'Of the embedded broker it takes the timing wheel alone.',
      severity: 'error',
      from: { path: '^libs/kafka/' },
      to: { path: '^libs/(?!(kafka|messaging)/|broker/src/timers/timing-wheel\\.ts$)' },
    },
    {
      name: 'kafkajs-stays-behind-its-seam',
      comment: 'docs/adr/0025: what speaks to Kafka can be changed without a change of what stands on it.',
      severity: 'error',
      from: { path: '^(apps|libs)/', pathNot: '^libs/kafka/src/(client|testing)/' },
      to: { path: 'node_modules/kafkajs/' },
    },
    {
      name: 'the-broker-needs-no-framework',
      comment: 'Who runs the broker without the shop is not to load Nest: half of its start and of its heap.',
      severity: 'error',
      from: {
        path: ['^libs/broker/src/index\\.ts$', '^libs/broker/src/cli/', '^apps/broker/'],
        pathNot: '\\.spec\\.ts$',
      },
      to: { path: 'node_modules/(@nestjs|fastify|@prisma)/', reachable: true },
    },
    {
      name: 'no-circular',
      comment: 'Types count: what can only be read in a circle cannot be read alone.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    ...brokerRooms(),
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      conditionNames: ['source', 'import', 'node', 'default', 'types'],
      exportsFields: ['exports'],
    },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(prisma/generated|dist)/' },
  },
};
