import { expect } from '@jest/globals';
import type { GroupInfo } from '../broker-admin.js';
import { it } from './promise.js';
import { gathered, range, until } from './stage.js';
import type { Stage } from './stage.js';

export const RETENTION = { retainBytes: 200_000, retainDeadLetters: 3 };

const MESSAGES = 40;
const BODY = 'x'.repeat(20_000);

export function retentionSection(stage: () => Stage): void {
  const groupInfo = async (group: string): Promise<GroupInfo | undefined> =>
    (await stage().port.admin.groups()).find((info) => info.group === group);

  const startOf = async (topic: string): Promise<number> => {
    const info = (await stage().port.admin.topics()).find((each) => each.topic === topic);
    return info?.partitions[0]?.startOffset ?? 0;
  };

  /** The first offset that is left once what is left of `end` messages fits: nothing more goes then. */
  const kept = async (topic: string, end: number): Promise<number> => {
    let first = 0;
    await until(async () => {
      first = await startOf(topic);
      return (end - first) * BODY.length <= RETENTION.retainBytes;
    }, 'the oldest messages to go');
    return first;
  };

  it('tells a consumer that falls behind what it missed, also after a crash', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    const early = await stage().collect(topic, { group });
    await stage().send(topic, 'seen');
    await gathered(early, 1);
    await until(async () => (await groupInfo(group))?.lag === 0, 'the ack');
    await early.consumer.close();
    for (const n of range(MESSAGES)) await stage().send(topic, `${n} ${BODY}`);
    stage().enforceRetention();
    const first = await kept(topic, MESSAGES + 1);
    expect(first).toBeGreaterThan(1);
    expect(first).toBeLessThanOrEqual(MESSAGES);
    const missed = { messages: first - 1, ranges: [{ topic, partition: 0, from: 1, to: first }] };
    expect(await groupInfo(group)).toMatchObject({ missed, lag: MESSAGES + 1 - first });
    await stage().restart();
    expect(await groupInfo(group)).toMatchObject({ missed });
    const late = await stage().collect(topic, { group });
    await gathered(late, MESSAGES + 1 - first);
    expect(late.received[0]?.message.offset).toBe(first);
    await until(async () => (await groupInfo(group))?.lag === 0, 'the rest to be settled');
  });

  it('answers a read before what is kept from where it is kept', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    for (const n of range(MESSAGES)) await stage().send(topic, `${n} ${BODY}`);
    stage().enforceRetention();
    const first = await kept(topic, MESSAGES);
    expect((await stage().port.admin.read(topic, 0, 0, 1))[0]?.offset).toBe(first);
  });

  it('drops the oldest dead letters of a group that has too many, and tells how many', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    await stage().collect(topic, { group }, (delivery) =>
      delivery.deadLetter({ reason: 'rejected', error: 'no' }),
    );
    const ids: string[] = [];
    for (const n of range(5)) ids.push((await stage().send(topic, `${n}`)).messageId);
    await until(async () => (await groupInfo(group))?.lag === 0, 'the deaths');
    stage().enforceRetention();
    await until(async () => (await groupInfo(group))?.deadLetters === 3, 'the oldest to go');
    const { admin } = stage().port;
    expect((await admin.deadLetters(group)).map(({ id }) => id)).toEqual(ids.slice(2));
    expect(await groupInfo(group)).toMatchObject({ deadLettersDropped: 2 });
    expect(await admin.redrive(group, ids[0] ?? '')).toBe(false);
    const told = { by: 'broker', action: 'dead-letters-dropped', group, count: 2 };
    expect(await admin.audit({ group })).toMatchObject([told]);
    // Nobody was answered for the drop: a crash keeps it once something later is confirmed.
    await stage().send(stage().topic(), 'later');
    await stage().restart();
    expect(await groupInfo(group)).toMatchObject({ deadLetters: 3, deadLettersDropped: 2 });
  });
}
