/**
 * Topics and groups as operators see them, page by page: both may have more partitions than fit into an answer.
 */
import {
  type GroupInfo,
  MessagingError,
  type Page,
  type PageQuery,
  type TopicInfo,
} from '#libs/messaging/port';
import { bounded } from '../groups/consumer.js';
import type { Cursor } from '../positions/cursor.js';
import type { Group } from '../groups/group.js';
import type { Topic } from '../topics/topics.js';
import type { BrokerState } from './state.js';

/** Partitions or positions of a page: with the longest names, some 5 MB of the 8 MiB of a frame. */
const MAX_PLACES = 10_000;

export function pageOfTopics(
  { topics }: BrokerState,
  { limit = MAX_PLACES, after }: PageQuery,
): Page<TopicInfo> {
  const most = bounded('limit', limit, MAX_PLACES);
  const from = after === undefined ? 0 : placeIn(after)[0];
  const items: TopicInfo[] = [];
  let places = 0;
  let last = from;
  for (const topic of [...topics.all()].sort((a, b) => a.id - b.id)) {
    if (topic.id <= from) continue;
    if (places > 0 && places + topic.partitions.length > most) return { items, next: `${last}:0` };
    items.push(describeTopic(topic));
    places += topic.partitions.length;
    last = topic.id;
  }
  return { items };
}

function describeTopic({ name, partitions, limit }: Topic): TopicInfo {
  return {
    topic: name,
    partitions: partitions.map(({ number, start, visibleEnd }) => ({
      partition: number,
      startOffset: start,
      endOffset: visibleEnd,
    })),
    ...(limit ? { limit } : {}),
  };
}

/** `after` names the group that the page goes on with, by the order in which groups were made, and its next position. */
export function pageOfGroups(state: BrokerState, { limit = MAX_PLACES, after }: PageQuery): Page<GroupInfo> {
  const most = bounded('limit', limit, MAX_PLACES);
  const [ordinal, position] = after === undefined ? [0, 0] : placeIn(after);
  const page: Page<GroupInfo> = { items: [] };
  let left = most;
  for (const group of [...state.groups.everyone()].sort((a, b) => a.ordinal - b.ordinal)) {
    if (group.ordinal < ordinal) continue;
    // What it has beside positions is told with the first of them.
    const first = group.ordinal === ordinal ? position : 0;
    if (first > 0) page.continues = true;
    const others = first > 0 ? 0 : 1 + group.members.length + group.missed.ranges.length;
    if (page.items.length > 0 && others + Math.min(1, group.cursors.size) > left)
      return { ...page, next: `${group.ordinal}:0` };
    left -= others;
    const cursors = [...group.cursors.values()];
    const count = Math.min(cursors.length - first, Math.max(left, page.items.length === 0 ? 1 : 0));
    page.items.push(describeGroup(state, group, cursors, cursors.slice(first, first + count)));
    left -= count;
    if (first + count < cursors.length) return { ...page, next: `${group.ordinal}:${first + count}` };
  }
  return page;
}

function describeGroup(
  { deadLetters }: BrokerState,
  group: Group,
  cursors: readonly Cursor[],
  told: readonly Cursor[],
): GroupInfo {
  const behind = cursors.reduce((sum, cursor) => sum + cursor.lag, 0);
  const heldBack = cursors.reduce((sum, cursor) => sum + cursor.heldBack.size, 0);
  return {
    group: group.name,
    mode: group.mode,
    members: group.members.map((member) => ({
      id: `${member.clientName}#${member.id}`,
      client: member.clientName,
      inFlight: member.inFlight.size,
    })),
    lag: behind + group.waitingRetries,
    inFlight: group.inFlight,
    retrying: group.waitingRetries + heldBack,
    deadLetters: deadLetters.count(group.name),
    deadLettersDropped: deadLetters.dropped(group.name),
    acked: group.acked,
    missed: group.missed,
    unreadable: told.flatMap(({ partition: { topic, number: partition }, unreadable }) =>
      unreadable ? [{ topic: topic.name, partition, ...unreadable }] : [],
    ),
    positions: told.map(({ partition, settled }) => ({
      topic: partition.topic.name,
      partition: partition.number,
      committedOffset: settled.committed,
      endOffset: partition.visibleEnd,
    })),
  };
}

/** @throws {MessagingError} `INVALID_ARGUMENT` */
function placeIn(after: string): [number, number] {
  const [, number, position] = /^(\d{1,15}):(\d{1,15})$/.exec(after) ?? [];
  if (number === undefined)
    throw new MessagingError('INVALID_ARGUMENT', 'after: not what an earlier page gave');
  return [Number(number), Number(position)];
}
