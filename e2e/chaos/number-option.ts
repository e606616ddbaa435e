import { Refusal } from '../verdict/shop-access.js';

/** Reads numbers of the command line; `usage` is told with whatever is wrong. */
export const numberOption =
  (usage: string) =>
  /** @throws {Refusal} when it is no number of that range. */
  (name: string, text: string, min: number, max: number): number => {
    const value = text.trim() === '' ? NaN : Number(text);
    if (!(value >= min && value <= max))
      throw new Refusal(`--${name} must be a number from ${min} to ${max}, not "${text}"; ${usage}`);
    return value;
  };
