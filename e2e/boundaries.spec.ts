import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

type Report = {
  summary: { totalCruised: number; violations: { rule: { name: string }; from: string }[] };
};

describe('the boundaries of the house', () => {
  let planted: string;

  beforeAll(() => {
    planted = mkdtempSync(join(tmpdir(), 'stampede-boundaries-'));
    for (const file of ['package.json', 'tsconfig.json', '.config/dependency-cruiser.cjs'])
      cpSync(file, join(planted, file), { recursive: true });
    symlinkSync(resolve('node_modules'), join(planted, 'node_modules'));
    plant('apps/order/src/place-order.ts', 'export const place = 1;');
    plant('libs/broker/src/index.ts', 'export const broker = 1;');
    plant('libs/kafka/src/index.ts', 'export const kafka = 1;');
    plant('libs/broker/src/engine/engine.ts', 'export type Engine = 1;');
    plant('libs/messaging/src/index.ts', 'export const port = 1;');
    // Half of a circle, of types alone.
    plant(
      'libs/messaging/src/there.ts',
      "import type { Back } from './back.js';\nexport type There = { back: Back };",
    );
    plant('libs/nest-user/src/index.ts', "export { Injectable } from '@nestjs/common';");
  });
  afterAll(() => rmSync(planted, { recursive: true, force: true }));

  it('hold in this repository', () => {
    const { summary } = cruise(process.cwd(), ['apps', 'libs', 'e2e']);
    expect(summary.violations.map(({ rule, from }) => `${rule.name}: ${from}`)).toEqual([]);
    // A cruise that resolves nothing finds no violation either.
    expect(summary.totalCruised).toBeGreaterThan(100);
  }, 60_000);

  it.each([
    [
      'no-app-imports-another-app',
      'apps/stock/src/steal.ts',
      "export * from '../../order/src/place-order.js';",
    ],
    ['only-modules-name-a-broker', 'apps/stock/src/consumer.ts', "export * from '#libs/broker';"],
    ['domain-is-pure', 'apps/stock/src/domain/decide.ts', "export { Injectable } from '@nestjs/common';"],
    ['domain-is-pure', 'apps/stock/src/domain/read.ts', "export { readFileSync } from 'node:fs';"],
    [
      'libs-import-no-app',
      'libs/messaging/src/up.ts',
      "export * from '../../../apps/order/src/place-order.js';",
    ],
    ['messaging-knows-no-implementation', 'libs/messaging/src/down.ts', "export * from '#libs/broker';"],
    [
      'kafka-knows-the-port-and-the-wheel',
      'libs/kafka/src/engine.ts',
      "export type { Engine } from '../../broker/src/engine/engine.js';",
    ],
    ['apps-know-no-kafka', 'apps/order/src/order.module.ts', "export * from '#libs/kafka';"],
    ['kafkajs-stays-behind-its-seam', 'libs/kafka/src/consume.ts', "export { Kafka } from 'kafkajs';"],
    ['the-broker-needs-no-framework', 'apps/broker/src/nest.ts', "export * from '#libs/nest-user';"],
    [
      'no-circular',
      'libs/messaging/src/back.ts',
      "import type { There } from './there.js';\nexport type Back = There | 1;",
    ],
    [
      'broker-arrows-run-down',
      'libs/broker/src/topics/up.ts',
      "export type { Engine } from '../engine/engine.js';",
    ],
  ])(
    'are guarded: %s catches a planted %s',
    (rule, path, source) => {
      plant(path, source);
      const { summary } = cruise(planted, ['apps', 'libs']);
      expect(summary.violations).toContainEqual(
        expect.objectContaining({ from: path, rule: expect.objectContaining({ name: rule }) as unknown }),
      );
      rmSync(join(planted, path));
    },
    60_000,
  );

  function plant(path: string, source: string): void {
    mkdirSync(join(planted, dirname(path)), { recursive: true });
    writeFileSync(join(planted, path), `${source}\n`);
  }
});

function cruise(cwd: string, folders: readonly string[]): Report {
  const program = resolve('node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const args = [program, '--config', '.config/dependency-cruiser.cjs', '--output-type', 'json', ...folders];
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as Report;
}
