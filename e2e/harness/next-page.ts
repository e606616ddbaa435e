/** Where a list goes on, of its answer's `Link` header (RFC 8288); undefined on the last page. */
export function nextPage(link: string | string[] | null | undefined): string | undefined {
  const links = [link ?? []].flat().flatMap((each) => each.split(/,\s*(?=<)/));
  return links.map((each) => /^<([^>]+)>;.*\brel="?next"?/.exec(each)?.[1]).find(Boolean);
}
