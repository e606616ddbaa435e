import { parseArgs } from 'node:util';
import { Refusal } from '../../verdict/shop-access.js';
import { numberOption } from '../number-option.js';

export type ChaosOptions = {
  minutes: number;
  seed: number;
  producers: number;
  consumers: number;
  rate: number;
  json: string | undefined;
  /** Keeps the broker's data and the histories; they are kept anyway when something is wrong. */
  keep: boolean;
};

export const USAGE =
  'usage: npm run chaos -- [--minutes N] [--seed S] [--producers N] [--consumers N] [--rate R] [--json FILE] [--keep]';

/** @throws {Refusal} naming the option that is wrong. */
export function readOptions(args: readonly string[]): ChaosOptions {
  const text = { type: 'string' } as const;
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        minutes: text,
        seed: text,
        producers: text,
        consumers: text,
        rate: text,
        json: text,
        keep: { type: 'boolean' },
      },
    }));
  } catch (error) {
    throw new Refusal(`${(error as Error).message.split(/\.[ \n]/)[0]}; ${USAGE}`);
  }
  const number = numberOption(USAGE);
  return {
    minutes: number('minutes', values.minutes ?? '1', 0.05, 24 * 60),
    seed: Math.floor(number('seed', values.seed ?? String(Date.now() % 2 ** 31), 0, 2 ** 31)),
    producers: Math.floor(number('producers', values.producers ?? '3', 1, 20)),
    consumers: Math.floor(number('consumers', values.consumers ?? '3', 1, 20)),
    rate: number('rate', values.rate ?? '25', 0.1, 10_000),
    json: values.json,
    keep: values.keep ?? false,
  };
}
