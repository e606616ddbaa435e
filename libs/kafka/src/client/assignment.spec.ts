import { describe, expect, it } from '@jest/globals';
import kafkajs from 'kafkajs';
import { assignByNumber, decodePlaces, decodeTopics, encodePlaces, encodeTopics } from './assignment.js';

const { AssignerProtocol } = kafkajs;

describe('dividing partitions among members', () => {
  it('gives those of one number to the same member, as its example says', () => {
    const members = ['b', 'a'].map((memberId) => ({ memberId, topics: ['stock', 'order'] }));
    const assigned = assignByNumber(members, () => 3);
    const of = (member: string) =>
      assigned.get(member)?.map(({ topic, partition }) => `${topic} ${partition}`);
    expect(of('a')).toEqual(['order 0', 'order 2', 'stock 0', 'stock 2']);
    expect(of('b')).toEqual(['order 1', 'stock 1']);
  });

  it('gives a topic only to those that take it, and every partition to one', () => {
    const assigned = assignByNumber(
      [
        { memberId: 'old', topics: ['order'] },
        { memberId: 'new', topics: ['order', 'added'] },
      ],
      () => 4,
    );
    const all = [...assigned].flatMap(([member, places]) => places.map((place) => ({ member, ...place })));
    expect(all.filter(({ topic }) => topic === 'added').map(({ member }) => member)).toEqual(
      Array(4).fill('new'),
    );
    expect(new Set(all.map(({ topic, partition }) => `${topic}/${partition}`)).size).toBe(8);
  });

  it('leaves a member without partitions when there are more members than those', () => {
    const members = ['a', 'b', 'c'].map((memberId) => ({ memberId, topics: ['order'] }));
    expect([...assignByNumber(members, () => 2).values()].map(({ length }) => length)).toEqual([1, 1, 0]);
  });

  it('writes and reads what Kafka’s other clients and tools write and read', () => {
    const topics = ['order', 'größe'];
    expect(decodeTopics(encodeTopics(topics))).toEqual(topics);
    expect(AssignerProtocol.MemberMetadata.decode(encodeTopics(topics))).toMatchObject({
      version: 0,
      topics,
    });
    const places = [
      { topic: 'order', partition: 2 },
      { topic: 'order', partition: 0 },
      { topic: 'stock', partition: 1 },
    ];
    expect(decodePlaces(encodePlaces(places))).toEqual(places);
    expect(AssignerProtocol.MemberAssignment.decode(encodePlaces(places))?.assignment).toEqual({
      order: [2, 0],
      stock: [1],
    });
    expect(decodePlaces(Buffer.alloc(0))).toEqual([]);
  });
});
