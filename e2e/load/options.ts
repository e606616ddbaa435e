import { parseArgs } from 'node:util';
import { Refusal } from '../verdict/shop-access.js';

export type LoadOptions = {
  buyers: number;
  tickets: number;
  /** Buyers who arrive per second, on average. */
  ratePerSecond: number;
  /** Share of the accepted buyers who pay, 0 to 1. */
  payShare: number;
  /** Makes arrivals and payers the same again. */
  seed: number;
  json: string | undefined;
};

/** Without `--rate`, everybody comes within this time: a flash sale. */
const RUSH_SECONDS = 2;

export const USAGE =
  'usage: npm run flash-sale -- --buyers N --tickets M [--rate R] [--pay P] [--seed S] [--json FILE]';

/** @throws {Refusal} naming the option that is wrong. */
export function readOptions(args: readonly string[]): LoadOptions {
  const text = { type: 'string' } as const;
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: { buyers: text, tickets: text, rate: text, pay: text, seed: text, json: text },
    }));
  } catch (error) {
    throw new Refusal(`${(error as Error).message.split(/\.[ \n]/)[0]}; ${USAGE}`);
  }
  const buyers = whole('buyers', values.buyers ?? '5000', 1, 1_000_000);
  return {
    buyers,
    tickets: whole('tickets', values.tickets ?? '500', 1, 1_000_000),
    ratePerSecond: number('rate', values.rate ?? String(Math.max(1, buyers / RUSH_SECONDS)), 0.01, 1_000_000),
    payShare: number('pay', values.pay ?? '1', 0, 1),
    seed: whole('seed', values.seed ?? String(Date.now() % 2 ** 31), 0, 2 ** 31),
    json: values.json,
  };
}

function number(name: string, text: string, min: number, max: number): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!(value >= min && value <= max)) {
    throw new Refusal(`--${name} must be a number from ${min} to ${max}, not "${text}"; ${USAGE}`);
  }
  return value;
}

function whole(name: string, text: string, min: number, max: number): number {
  const value = number(name, text, min, max);
  if (!Number.isInteger(value))
    throw new Refusal(`--${name} must be a whole number, not "${text}"; ${USAGE}`);
  return value;
}
