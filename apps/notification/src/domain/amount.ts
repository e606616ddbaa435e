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
  const format = new Intl.NumberFormat('en', { style: 'currency', currency });
  const made = { format, decimals: format.resolvedOptions().maximumFractionDigits ?? 0 };
  formats.set(currency, made);
  return made;
}
