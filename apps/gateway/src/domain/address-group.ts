import ipaddr from 'ipaddr.js';

/** Of an IPv6 address: what one customer is given, who may then use any address in it. */
const SITE_BITS = 64;

/** An IPv4 address before a port, or one in brackets, as in a URL. */
const WITH_PORT = /^(?:(\d+(?:\.\d+){3}):\d+|\[([^\]]*)\](?::\d+)?)$/;

/** Some proxies name the port too, which is another one with each connection: `192.0.2.7:50123`, `[2001:db8::1]:50123`. */
export function withoutPort(address: string): string {
  const [, ipv4, bracketed] = WITH_PORT.exec(address) ?? [];
  return ipv4 ?? bracketed ?? address;
}

/**
 * What counts as one address where requests are limited: an IPv4 address, also one written as IPv6, or the /64 of an
 * IPv6 one. What cannot be read stays as it is.
 */
export function addressGroupOf(written: string): string {
  const address = withoutPort(written);
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toNormalizedString()}/${SITE_BITS}`).toString();
}
