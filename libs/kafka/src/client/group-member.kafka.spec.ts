import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import {
  brokersUnderTest,
  connectUnderTest,
  newName,
  newTopic,
  record,
} from '../testing/kafka-under-test.js';
import { ProduceProxy } from '../testing/produce-proxy.js';
import type { Committed, KafkaClient, Membership, MembershipOptions, Place } from './kafka-client.js';

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadlineMs = performance.now() + 20_000; !(await condition());) {
    if (performance.now() > deadlineMs) throw new Error(`not in 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A member that remembers what it is told. */
class Witness {
  places: readonly Committed[] = [];
  assignments = 0;
  texts: string[] = [];
  gaps: [number, number][] = [];
  losses = 0;
  stopped: Error | undefined;
  membership!: Membership;
  onRevoke = async (): Promise<void> => undefined;

  constructor(readonly group: string) {}

  async join(
    topics: readonly string[],
    more: Partial<MembershipOptions> = {},
    through: KafkaClient = client,
  ): Promise<this> {
    this.membership = await through.join({
      group: this.group,
      clientId: 'witness',
      topics,
      startOf: () => 'earliest',
      sessionTimeoutMs: 6_000,
      heartbeatMs: 200,
      rebalanceTimeoutMs: 10_000,
      maxFetchBytes: 1024 * 1024,
      onAssign: (places) => {
        this.places = places;
        this.assignments++;
      },
      onRevoke: () => this.onRevoke(),
      onLose: () => void this.losses++,
      onRecords: (_, { records }) =>
        void this.texts.push(...records.map(({ value }) => `${value?.toString()}`)),
      onGap: (_, from, to) => void this.gaps.push([from, to]),
      onStop: (error) => (this.stopped = error),
      ...more,
    });
    joined.push(this);
    return this;
  }
}

const client = connectUnderTest();
const joined: Witness[] = [];

const sendTexts = (place: Place, texts: readonly string[]): Promise<number[]> =>
  client.append(texts.map((text) => record(place, text)));

describe('a member of a Kafka group', () => {
  afterEach(async () => {
    await Promise.all(joined.splice(0).map(({ membership }) => membership.leave()));
  });
  afterAll(() => client.close());

  it('reads from where the group has committed, and tells others its note', async () => {
    const place = { topic: await newTopic(client), partition: 0 };
    const group = newName('group');
    await sendTexts(place, ['a', 'b', 'c']);
    const first = await new Witness(group).join([place.topic]);
    await until(() => first.texts.length === 3, 'three messages');
    await first.membership.commit([{ ...place, offset: 2, note: '{"x":1}' }]);
    expect(await client.committed(group)).toEqual([{ ...place, offset: 2, note: '{"x":1}' }]);
    await first.membership.leave();
    const second = await new Witness(group).join([place.topic]);
    expect(second.places).toEqual([{ ...place, offset: 2, note: '{"x":1}' }]);
    await until(() => second.texts.length > 0, 'what was not committed');
    expect(second.texts).toEqual(['c']);
  });

  it('takes its place at once and for good where a new group begins at the end', async () => {
    const place = { topic: await newTopic(client), partition: 0 };
    const group = newName('group');
    await sendTexts(place, ['old']);
    const first = await new Witness(group).join([place.topic], { startOf: () => 'latest' });
    await first.membership.leave();
    await sendTexts(place, ['new']);
    const second = await new Witness(group).join([place.topic], { startOf: () => 'latest' });
    await until(() => second.texts.length > 0, 'the message between the two');
    expect(second.texts).toEqual(['new']);
  });

  it('gives partitions up only when its work on them has ended, and hears of the division meanwhile', async () => {
    const topic = await newTopic(client, 4);
    const group = newName('group');
    const first = await new Witness(group).join([topic]);
    expect(first.places).toHaveLength(4);
    const steps: string[] = [];
    first.onRevoke = async () => {
      steps.push('asked');
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await first.membership.commit([{ topic, partition: 0, offset: 0, note: 'last' }]);
      steps.push('ended');
    };
    const second = new Witness(group);
    await second.join([topic], { onAssign: () => steps.push('second has partitions') });
    expect(steps.slice(0, 3)).toEqual(['asked', 'ended', 'second has partitions']);
    await until(() => first.places.length === 2, 'half of the partitions');
    expect(first.losses).toBe(0);
  });

  it('shows signs of life while a handler takes longer than its session', async () => {
    const place = { topic: await newTopic(client), partition: 0 };
    const group = newName('group');
    const witness = await new Witness(group).join([place.topic]);
    await sendTexts(place, ['slow']);
    await until(() => witness.texts.length === 1, 'the message');
    // Nothing is asked of the member for longer than its session of six seconds.
    await new Promise((resolve) => setTimeout(resolve, 7_000));
    await witness.membership.commit([{ ...place, offset: 1, note: '' }]);
    expect([witness.assignments, witness.losses]).toEqual([1, 0]);
  });

  it('goes on with the other partitions while one is paused, and with that one when it is resumed', async () => {
    const topic = await newTopic(client, 2);
    const [held, open] = range(2).map((partition) => ({ topic, partition })) as [Place, Place];
    const witness = await new Witness(newName('group')).join([topic]);
    witness.membership.pause(held);
    // Asked for before it was paused.
    await new Promise((resolve) => setTimeout(resolve, 300));
    await sendTexts(held, ['held']);
    await sendTexts(open, ['open']);
    await until(() => witness.texts.includes('open'), 'the open partition');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(witness.texts).toEqual(['open']);
    witness.membership.resume(held);
    await until(() => witness.texts.includes('held'), 'the held partition');
  });

  it('refuses a commit of partitions that are somebody else’s', async () => {
    const topic = await newTopic(client);
    const witness = await new Witness(newName('group')).join([topic]);
    await witness.membership.leave();
    const late = witness.membership.commit([{ topic, partition: 0, offset: 1, note: '' }]);
    await expect(late).rejects.toMatchObject({ code: 'LEASE_LOST' });
  });

  it('loses its partitions while it cannot be heard, knows it, and is a member again afterwards', async () => {
    const place = { topic: await newTopic(client), partition: 0 };
    const group = newName('group');
    const proxy = await ProduceProxy.before(brokersUnderTest()[0] ?? '');
    const away = connectUnderTest({ socketFactory: proxy.socketFactory, requestTimeoutMs: 1_000 });
    try {
      const first = await new Witness(group).join([place.topic], {}, away);
      await sendTexts(place, ['a']);
      await until(() => first.texts.length === 1, 'the message');
      proxy.cut();
      const second = await new Witness(group).join([place.topic]);
      await until(() => second.texts.length === 1, 'the message at the other member');
      await until(() => first.losses === 1, 'the first one to know');
      proxy.mend();
      await until(() => first.assignments === 2, 'the first one to be a member again');
      expect(first.stopped).toBeUndefined();
      await first.membership.leave();
    } finally {
      await away.close();
      await proxy.close();
    }
  });

  it('goes on with its other topics when one is deleted, and takes up topics that come', async () => {
    const [gone, kept, added] = [await newTopic(client), await newTopic(client), await newTopic(client)];
    const witness = await new Witness(newName('group')).join([gone, kept]);
    await client.deleteTopic(gone);
    await sendTexts({ topic: kept, partition: 0 }, ['kept']);
    await until(() => witness.texts.includes('kept'), 'the topic that is left');
    witness.membership.changeTopics([kept, added]);
    await sendTexts({ topic: added, partition: 0 }, ['added']);
    await until(() => witness.texts.includes('added'), 'the topic that came');
    expect(witness.stopped).toBeUndefined();
  });

  it('passes over what is gone, and tells which offsets', async () => {
    const place = { topic: await newTopic(client), partition: 0 };
    const group = newName('group');
    await sendTexts(place, ['a', 'b', 'c']);
    await client.setCommitted(group, [{ ...place, offset: 9, note: '' }]);
    const witness = await new Witness(group).join([place.topic]);
    await until(() => witness.gaps.length === 1, 'the gap');
    expect(witness.gaps).toEqual([[9, 3]]);
    await sendTexts(place, ['d']);
    await until(() => witness.texts.length === 1, 'what comes behind it');
    expect(witness.texts).toEqual(['d']);
  });

  it('is told of by name and partitions, and keeps its group from being set or deleted', async () => {
    const topic = await newTopic(client, 2);
    const group = newName('group');
    const witness = await new Witness(group).join([topic]);
    const described = (await client.groups()).find((each) => each.group === group);
    expect(described?.members).toMatchObject([
      {
        client: 'witness',
        places: [
          { topic, partition: 0 },
          { topic, partition: 1 },
        ],
      },
    ]);
    const offsets = [{ topic, partition: 0, offset: 0, note: '' }];
    await expect(client.setCommitted(group, offsets)).rejects.toMatchObject({ code: 'IN_USE' });
    await expect(client.deleteGroup(group)).rejects.toMatchObject({ code: 'IN_USE' });
    await witness.membership.leave();
    await client.setCommitted(group, offsets);
    await client.deleteGroup(group);
    expect((await client.groups()).map((each) => each.group)).not.toContain(group);
  });
});
