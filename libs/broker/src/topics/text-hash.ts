/** FNV-1a over UTF-16 units: a filter compares it before it decodes the tag (RocketMQ's ConsumeQueue does the same). */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

const tagHashes = new Map<string, number>();
/** `hashOf` for tags, of which there are few; forgets all when somebody invents more than 4,096. */
export function tagHashOf(tag: string): number {
  let hash = tagHashes.get(tag);
  if (hash === undefined) {
    hash = hashOf(tag);
    if (tagHashes.size >= 4096) tagHashes.clear();
    tagHashes.set(tag, hash);
  }
  return hash;
}
