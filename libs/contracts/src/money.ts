import * as currencies from 'dinero.js/currencies';
import { z } from 'zod';

/**
 * Digits of the minor unit by ISO 4217. Not from Intl: its data are CLDR's, which say how prices are usually
 * printed, and print HUF, COP or IQD without the minor units that amounts are counted in.
 */
const MINOR_DIGITS: ReadonlyMap<string, number> = new Map(
  Object.values(currencies).map(({ code, base, exponent }) => [
    code,
    // Ariary and ouguiya are divided by five; ISO counts them, as all divided ones, by powers of ten: hundredths.
    base === 10 ? exponent : 2,
  ]),
);

/** A currency that tickets can be sold in: one that ISO 4217 lists today. */
export const SaleCurrency = z.enum([...MINOR_DIGITS.keys()]);

/**
 * An amount of minor units as a person reads it: `12345, EUR` → `€123.45`; `500, JPY` → `¥500`. Made
 * from the digits, never through a float.
 */
export function formatMinor(amountMinor: number, currency: string): string {
  const { format, decimals } = formatOf(currency);
  const digits = String(amountMinor).padStart(decimals + 1, '0');
  const major = digits.slice(0, digits.length - decimals);
  const decimal = decimals === 0 ? major : `${major}.${digits.slice(-decimals)}`;
  // Intl formats a decimal string exactly; its type in this TypeScript only names literals.
  return format.format(decimal as `${number}`);
}

type Format = { format: Intl.NumberFormat; decimals: number };
/** Made once: making one takes longer than all else about a notification. At most one per currency that tickets are sold in. */
const formats = new Map<string, Format>();

function formatOf(currency: string): Format {
  const known = formats.get(currency);
  if (known !== undefined) return known;
  // A currency that was abolished since its tickets were sold: nearly all are divided by a hundred.
  const decimals = MINOR_DIGITS.get(currency) ?? 2;
  const format = new Intl.NumberFormat('en', {
    style: 'currency',
    currency,
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
  const made = { format, decimals };
  formats.set(currency, made);
  return made;
}
