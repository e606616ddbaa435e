import type { Place } from './kafka-client.js';

/** What a member tells the one that divides, and what it is told, as Kafka's `ConsumerProtocol` version 0 has it. */
const VERSION = 0;

export type MemberTopics = { memberId: string; topics: readonly string[] };

/**
 * Divides partitions among members: those of one number go to the same member, of every topic that it takes. So what comes back
 * through a group's retry topic comes to the member that has the partition it was in. The price is that of Kafka's range assignor:
 * topics with one partition are all the first member's. Example with members a and b and three partitions each:
 *
 *     order  0:a 1:b 2:a
 *     stock  0:a 1:b 2:a
 *
 * The result depends on the names only, so that whoever divides comes to the same.
 */
export function assignByNumber(
  members: readonly MemberTopics[],
  partitionsOf: (topic: string) => number,
): Map<string, Place[]> {
  const assigned = new Map<string, Place[]>(members.map(({ memberId }) => [memberId, []]));
  const sorted = [...members].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const topics = [...new Set(members.flatMap((member) => member.topics))].sort();
  for (const topic of topics) {
    const takers = sorted.filter((member) => member.topics.includes(topic));
    for (let partition = 0; partition < partitionsOf(topic); partition++) {
      const taker = takers[partition % takers.length];
      if (taker !== undefined) assigned.get(taker.memberId)?.push({ topic, partition });
    }
  }
  return assigned;
}

export const encodeTopics = (topics: readonly string[]): Buffer =>
  Buffer.concat([int16(VERSION), int32(topics.length), ...topics.map(text), int32(0)]);

export function decodeTopics(bytes: Buffer): string[] {
  const read = reader(bytes);
  read.int16();
  return Array.from({ length: read.int32() }, () => read.text());
}

export function encodePlaces(places: readonly Place[]): Buffer {
  const topics = [...new Set(places.map(({ topic }) => topic))];
  const parts = topics.map((topic) => {
    const partitions = places.filter((place) => place.topic === topic);
    return Buffer.concat([
      text(topic),
      int32(partitions.length),
      ...partitions.map(({ partition }) => int32(partition)),
    ]);
  });
  return Buffer.concat([int16(VERSION), int32(topics.length), ...parts, int32(0)]);
}

/** An empty answer is that of a member without partitions. */
export function decodePlaces(bytes: Buffer): Place[] {
  if (bytes.length === 0) return [];
  const read = reader(bytes);
  read.int16();
  return Array.from({ length: read.int32() }, () => {
    const topic = read.text();
    return Array.from({ length: read.int32() }, () => ({ topic, partition: read.int32() }));
  }).flat();
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([int16(bytes.length), bytes]);
}

function reader(bytes: Buffer) {
  let at = 0;
  const int16 = (): number => bytes.readInt16BE((at += 2) - 2);
  return {
    int16,
    int32: (): number => bytes.readInt32BE((at += 4) - 4),
    text: (): string => {
      const length = int16();
      return bytes.toString('utf8', at, (at += length));
    },
  };
}
