import ipaddr from 'ipaddr.js';

/** Of an IPv6 address: what one customer is given, who may then use any address in it. */
const SITE_BITS = 64;

/**
 * What counts as one address where requests are limited: an IPv4 address, also one written as IPv6, or the /64 of an
 * IPv6 one. What cannot be read stays as it is.
 */
export function addressGroupOf(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toNormalizedString()}/${SITE_BITS}`).toString();
}
