import { parseArgs } from 'node:util';
import { Refusal } from '../../verdict/shop-access.js';
import { numberOption } from '../number-option.js';
import { SCENARIOS, type ScenarioName, type ScenarioOptions } from './scenarios.js';

export type ShopChaosOptions = Pick<ScenarioOptions, 'minutes' | 'seed' | 'rate' | 'gapSeconds'> & {
  scenario: ScenarioName;
  json: string | undefined;
  keep: boolean;
};

const USAGE =
  'usage: npm run chaos -- --shop [--scenario NAME] [--minutes N] [--seed S] [--rate R] [--gap SECONDS] [--json FILE] [--keep]';

/** @throws {Refusal} naming the option that is wrong. */
export function readOptions(args: readonly string[]): ShopChaosOptions {
  const text = { type: 'string' } as const;
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        shop: { type: 'boolean' },
        scenario: text,
        minutes: text,
        seed: text,
        rate: text,
        gap: text,
        json: text,
        keep: { type: 'boolean' },
      },
    }));
  } catch (error) {
    throw new Refusal(`${(error as Error).message.split(/\.[ \n]/)[0]}; ${USAGE}`);
  }
  const number = numberOption(USAGE);
  const scenario = values.scenario ?? 'random';
  if (!isScenario(scenario))
    throw new Refusal(`--scenario must be one of ${Object.keys(SCENARIOS).join(', ')}, not "${scenario}"`);
  return {
    scenario,
    minutes: number('minutes', values.minutes ?? '1', 0.05, 24 * 60),
    seed: Math.floor(number('seed', values.seed ?? String(Date.now() % 2 ** 31), 0, 2 ** 31)),
    rate: number('rate', values.rate ?? '10', 0.1, 1_000),
    gapSeconds: number('gap', values.gap ?? '2.5', 0.3, 3_600),
    json: values.json,
    keep: values.keep ?? false,
  };
}

const isScenario = (name: string): name is ScenarioName => Object.hasOwn(SCENARIOS, name);
