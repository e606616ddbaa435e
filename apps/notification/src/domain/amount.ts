/**
 * An amount of minor units as a person reads it: `12345, EUR` → `€123.45`; `500, JPY` → `¥500`. Made
 * from the digits, never through a float.
 */
export function formatMinor(amountMinor: number, currency: string): string {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency });
  const decimals = format.resolvedOptions().maximumFractionDigits ?? 0;
  const digits = String(amountMinor).padStart(decimals + 1, '0');
  const major = digits.slice(0, digits.length - decimals);
  const decimal = decimals === 0 ? major : `${major}.${digits.slice(-decimals)}`;
  // Intl formats a decimal string exactly; its type in this TypeScript only names literals.
  return format.format(decimal as `${number}`);
}
