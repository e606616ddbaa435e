import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { Reconciliation, type Case, type ReconciliationRule } from './reconciliation.js';

class PlantedRule implements ReconciliationRule {
  readonly repaired: string[] = [];
  readonly marked: string[] = [];
  asked = 0;
  constructor(
    readonly name: string,
    private readonly cases: Case[],
    private readonly failure?: Error,
  ) {}
  find(limit: number): Promise<Case[]> {
    this.asked = limit;
    return Promise.resolve(this.cases);
  }
  repair(cases: readonly Case[]): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    this.repaired.push(...cases.map(({ key }) => key));
    return Promise.resolve();
  }
  mark(keys: readonly string[]): Promise<void> {
    this.marked.push(...keys);
    return Promise.resolve();
  }
}

function reconciling(...rules: PlantedRule[]) {
  const registry = new Registry();
  const said: { level: number; rule?: string; keys?: string[] }[] = [];
  const logger = pino({}, { write: (line: string) => said.push(JSON.parse(line) as (typeof said)[number]) });
  const reconciliation = new Reconciliation(rules, { intervalMs: 60_000, logger, registry });
  const counted = async (): Promise<Record<string, number>> => {
    const { values } = (await registry.getMetricsAsJSON())[0] as unknown as {
      values: { value: number; labels: { rule: string; outcome: string } }[];
    };
    return Object.fromEntries(values.map(({ labels, value }) => [`${labels.rule} ${labels.outcome}`, value]));
  };
  return { reconciliation, said, counted };
}
const lost = (key: string): Case => ({ key, wasRepaired: false });
const stillThere = (key: string): Case => ({ key, wasRepaired: true });

test('what is found is repaired, remembered, counted and named', async () => {
  const rule = new PlantedRule('overdue', [lost('a'), lost('b')]);
  const { reconciliation, said, counted } = reconciling(rule);
  await reconciliation.execute();
  expect([rule.repaired, rule.marked]).toEqual([
    ['a', 'b'],
    ['a', 'b'],
  ]);
  expect(await counted()).toEqual({ 'overdue repaired': 2, 'overdue unresolved': 0 });
  expect(said).toMatchObject([{ level: 40, rule: 'overdue', count: 2, keys: ['a', 'b'] }]);
  expect(rule.asked).toBe(200);
});

test('what a repair has not helped is reported, not repaired again', async () => {
  const rule = new PlantedRule('overdue', [stillThere('a'), lost('b')]);
  const { reconciliation, said, counted } = reconciling(rule);
  await reconciliation.execute();
  expect(rule.repaired).toEqual(['b']);
  expect(rule.marked).toEqual(['b', 'a']);
  expect(await counted()).toEqual({ 'overdue repaired': 1, 'overdue unresolved': 1 });
  expect(said.map(({ level, keys }) => [level, keys])).toEqual([
    [40, ['b']],
    [50, ['a']],
  ]);
});

test('a repair that fails is not remembered as one, and keeps no other rule from its turn', async () => {
  const failing = new PlantedRule('failing', [lost('a')], new Error('the broker is away'));
  const other = new PlantedRule('other', [lost('b')]);
  const { reconciliation, counted } = reconciling(failing, other);
  await expect(reconciliation.execute()).rejects.toThrow('the broker is away');
  expect(failing.marked).toEqual([]);
  expect(other.repaired).toEqual(['b']);
  expect(await counted()).toMatchObject({ 'failing repaired': 0, 'other repaired': 1 });
});

test('a healthy shop has nothing repaired, and the series are there for an alert', async () => {
  const rule = new PlantedRule('overdue', []);
  const { reconciliation, said, counted } = reconciling(rule);
  await reconciliation.execute();
  expect(await counted()).toEqual({ 'overdue repaired': 0, 'overdue unresolved': 0 });
  expect([rule.marked, said]).toEqual([[], []]);
});
