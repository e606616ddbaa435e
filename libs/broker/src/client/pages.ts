import type { GroupInfo, Page, PageQuery, TopicInfo } from '#libs/messaging/port';

type Ask<Item> = (query: PageQuery) => Promise<Page<Item>>;

async function* pages<Item>(ask: Ask<Item>): AsyncGenerator<Page<Item>> {
  let page = await ask({});
  for (; page.next !== undefined; page = await ask({ after: page.next })) yield page;
  yield page;
}

export async function allTopics(ask: Ask<TopicInfo>): Promise<TopicInfo[]> {
  const topics: TopicInfo[] = [];
  for await (const { items } of pages(ask)) topics.push(...items);
  return topics;
}

/** A group that takes several pages becomes one again. */
export async function allGroups(ask: Ask<GroupInfo>): Promise<GroupInfo[]> {
  const groups: GroupInfo[] = [];
  for await (const { items, continues } of pages(ask)) {
    const [more] = items;
    const last = groups.at(-1);
    if (continues !== true || !more || !last) {
      groups.push(...items);
      continue;
    }
    for (const position of more.positions) last.positions.push(position);
    for (const place of more.unreadable) last.unreadable.push(place);
    groups.push(...items.slice(1));
  }
  return groups;
}
