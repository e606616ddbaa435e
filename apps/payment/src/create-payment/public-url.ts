/** Headers in which the gateway says how the buyer reached it. */
export type ForwardedHeaders = {
  'x-forwarded-proto'?: string | string[] | undefined;
  'x-forwarded-host'?: string | string[] | undefined;
};

const HOST = /^[A-Za-z0-9.:[\]-]{1,255}$/;

/**
 * Where the buyer's browser reaches the shop. Only the gateway calls us, so its headers can be believed;
 * what does not look like a host is ignored all the same.
 */
export function publicUrl(
  configured: string | undefined,
  headers: ForwardedHeaders,
  fallback: string,
): string {
  if (configured !== undefined) return configured;
  const host = first(headers['x-forwarded-host']);
  if (host === undefined || !HOST.test(host)) return fallback;
  return `${first(headers['x-forwarded-proto']) === 'https' ? 'https' : 'http'}://${host}`;
}

/** Proxies append: the first value is the one that the browser saw. */
const first = (header: string | string[] | undefined): string | undefined =>
  (Array.isArray(header) ? header[0] : header)?.split(',')[0]?.trim();
