// `npm run new:service -- NAME`: a new service under apps/NAME that builds, runs and passes its tests.
// It listens to paid orders, because that is where most new services begin; change what it takes, keep
// the shape. `npm run shop` starts it with the others.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Refusal, root, runMain } from './launcher/prepare.mjs';

/** Places after the gateway's port that no service of the shop has. */
const PORT_OFFSETS = [7, 8, 9, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24];

await runMain(() => {
  const name = process.argv[2];
  if (!name || !/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name)) {
    throw new Refusal('usage: npm run new:service -- NAME   (lower case, words joined by dashes: seat-map)');
  }
  const dir = join(root, 'apps', name);
  if (existsSync(dir)) throw new Refusal(`apps/${name} exists already.`);
  const offset = register(name);
  for (const [path, text] of Object.entries(templates(name, offset))) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
  // Long names make long lines. Without prettier (nothing installed yet) they stay as they are.
  spawnSync(process.execPath, [join(root, 'node_modules/prettier/bin/prettier.cjs'), '--write', dir]);
  process.stdout.write(
    `apps/${name} is there. Try: npm test -- unit --match apps/${name}, then npm run shop.\n`,
  );
});

/** Adds the service to the launcher's list, on the first place that is free. */
function register(name) {
  const path = join(root, 'scripts/shop.mjs');
  const source = readFileSync(path, 'utf8');
  const taken = new Set([...source.matchAll(/portOffset: (\d+)/g)].map((match) => Number(match[1])));
  const offset = PORT_OFFSETS.find((candidate) => !taken.has(candidate));
  const end = source.indexOf('\n];', source.indexOf('const SERVICES = ['));
  if (offset === undefined || end < 0)
    throw new Refusal('scripts/shop.mjs has no place for another service.');
  const line = `\n  { name: '${name}', portOffset: ${offset}, schema: false },`;
  writeFileSync(path, source.slice(0, end) + line + source.slice(end));
  return offset;
}

function templates(name, offset) {
  const type = name.replace(/(^|-)(\w)/g, (_match, _dash, letter) => letter.toUpperCase());
  return {
    'README.md': `# ${name}

| | |
| --- | --- |
| owns | the turnover since it started, in memory: give it a schema under \`prisma/schema\` when it must survive |
| consumes | \`order.paid\` (group \`${name}.count-turnover\`) |
| run it alone | \`JWT_SECRET=… BROKER_URL=… PORT=${3000 + offset} node dist/apps/${name}/src/main.js\` |
| copy it | this folder; \`#libs/service-kit\` and \`#libs/messaging\` are all it needs |
`,
    'src/main.ts': `import { bootService } from '#libs/service-kit';
import { ${type}Module } from './${name}.module.js';

await bootService({ name: '${name}', module: ${type}Module });
`,
    [`src/${name}.module.ts`]: `import { Module } from '@nestjs/common';
import { ServiceModule } from '#libs/service-kit';
import { CountTurnover } from './count-turnover/count-turnover.js';
import { OrderPaidConsumer } from './count-turnover/order-paid.consumer.js';
import { TurnoverController } from './count-turnover/turnover.controller.js';

@Module({
  imports: [ServiceModule.forRoot({ name: '${name}' })],
  controllers: [OrderPaidConsumer, TurnoverController],
  providers: [CountTurnover],
})
export class ${type}Module {}
`,
    'src/domain/turnover.ts': `/** Minor units by currency. */
export type Turnover = Readonly<Record<string, number>>;

/** The turnover with one more sale in it. */
export function addSale(turnover: Turnover, sale: { currency: string; totalMinor: number }): Turnover {
  return { ...turnover, [sale.currency]: (turnover[sale.currency] ?? 0) + sale.totalMinor };
}
`,
    'src/domain/turnover.spec.ts': `import { describe, expect, it } from '@jest/globals';
import { addSale } from './turnover.js';

describe('the turnover', () => {
  it('is added up per currency', () => {
    const sales = [
      { currency: 'EUR', totalMinor: 4_950 },
      { currency: 'USD', totalMinor: 100 },
      { currency: 'EUR', totalMinor: 50 },
    ];
    expect(sales.reduce(addSale, {})).toEqual({ EUR: 5_000, USD: 100 });
  });
});
`,
    'src/count-turnover/count-turnover.ts': `import { Injectable } from '@nestjs/common';
import { addSale, type Turnover } from '../domain/turnover.js';

@Injectable()
export class CountTurnover {
  private turnover: Turnover = {};

  execute(sale: { currency: string; totalMinor: number }): void {
    this.turnover = addSale(this.turnover, sale);
  }

  read(): Turnover {
    return this.turnover;
  }
}
`,
    'src/count-turnover/order-paid.consumer.ts': `import { Controller } from '@nestjs/common';
import { OrderPaid } from '#libs/contracts';
import { backoff, Consume, type Delivery } from '#libs/messaging';
import { CountTurnover } from './count-turnover.js';

@Controller()
export class OrderPaidConsumer {
  constructor(private readonly countTurnover: CountTurnover) {}

  /** Without an inbox a message that is delivered twice counts twice: \`once: 'inbox'\` needs a schema of its own. */
  @Consume(OrderPaid, { group: '${name}.count-turnover', retry: backoff({ attempts: 5, firstDelayMs: 200 }) })
  handle({ payload }: Delivery<OrderPaid>): Promise<void> {
    this.countTurnover.execute(payload);
    return Promise.resolve();
  }
}
`,
    'src/count-turnover/turnover.controller.ts': `import { Controller, Get } from '@nestjs/common';
import { Roles } from '#libs/service-kit';
import type { Turnover } from '../domain/turnover.js';
import { CountTurnover } from './count-turnover.js';

@Controller('api/${name}')
export class TurnoverController {
  constructor(private readonly countTurnover: CountTurnover) {}

  @Get()
  @Roles('admin')
  read(): Turnover {
    return this.countTurnover.read();
  }
}
`,
    'src/count-turnover/order-paid.consumer.spec.ts': `import { describe, expect, it } from '@jest/globals';
import type { OrderPaid } from '#libs/contracts';
import type { Delivery } from '#libs/messaging';
import { CountTurnover } from './count-turnover.js';
import { OrderPaidConsumer } from './order-paid.consumer.js';

describe('a paid order', () => {
  it('counts towards the turnover', async () => {
    const countTurnover = new CountTurnover();
    const consumer = new OrderPaidConsumer(countTurnover);
    await consumer.handle({ payload: { currency: 'EUR', totalMinor: 4_950 } } as Delivery<OrderPaid>);
    expect(countTurnover.read()).toEqual({ EUR: 4_950 });
  });
});
`,
  };
}
