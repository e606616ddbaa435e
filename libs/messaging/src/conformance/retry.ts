import { expect } from '@jest/globals';
import { it } from './promise.js';
import { gathered, inTime, keep, range, textOf, until } from './stage.js';
import type { Stage } from './stage.js';

export function retrySection(stage: () => Stage): void {
  it('delivers a failed message again with the history of its attempts', async () => {
    const topic = stage().topic();
    const port = stage().connect('the-consumer');
    const beforeMs = Date.now();
    const collector = await stage().collect(
      topic,
      {},
      (delivery) =>
        delivery.attempt < 4
          ? delivery.retry({ delayMs: 5, error: `failure ${delivery.attempt}` })
          : delivery.ack(),
      port,
    );
    const receipt = await stage().send(topic, 'a', { key: 'k', headers: { h: 'v' } });
    await gathered(collector, 4);
    expect(collector.received.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
    const last = collector.received[3];
    expect(last?.history.map(({ attempt, error }) => [attempt, error])).toEqual([
      [1, 'failure 1'],
      [2, 'failure 2'],
      [3, 'failure 3'],
    ]);
    expect(last?.history.every(({ consumer }) => consumer.includes('the-consumer'))).toBe(true);
    expect(last?.history.every(({ atMs }) => atMs >= beforeMs && atMs <= Date.now())).toBe(true);
    expect(last?.message).toMatchObject({
      id: receipt.messageId,
      topic,
      key: 'k',
      headers: { h: 'v' },
      partition: receipt.partition,
      offset: receipt.offset,
    });
  });

  it('waits for the delay before the next try', async () => {
    const topic = stage().topic();
    const seenAtMs: number[] = [];
    const collector = await stage().collect(topic, {}, (delivery) => {
      seenAtMs.push(performance.now());
      return delivery.attempt === 1 ? delivery.retry({ delayMs: 250, error: 'later' }) : delivery.ack();
    });
    await stage().send(topic, 'failing');
    await gathered(collector, 2);
    expect((seenAtMs[1] ?? 0) - (seenAtMs[0] ?? 0)).toBeGreaterThanOrEqual(245);
  });

  it('lets other messages pass while a failed one waits', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    const collector = await stage().collect(topic, { maxInFlightMessages: 1 }, (delivery) =>
      textOf(delivery) === 'failing' ? delivery.retry({ delayMs: 60_000, error: 'later' }) : delivery.ack(),
    );
    await stage().sendAll(topic, ['failing', ...range(20).map(String)]);
    await gathered(collector, 21);
    expect(collector.texts()).toEqual(['failing', ...range(20).map(String)]);
  });

  it('keeps at most the last 16 failures and cuts long ones', async () => {
    const topic = stage().topic();
    const collector = await stage().collect(topic, {}, (delivery) =>
      delivery.attempt < 20 ? delivery.retry({ delayMs: 0, error: 'e'.repeat(5_000) }) : delivery.ack(),
    );
    await stage().send(topic, 'a');
    await gathered(collector, 20);
    const history = collector.received[19]?.history ?? [];
    expect(history.map(({ attempt }) => attempt)).toEqual(range(16).map((n) => n + 4));
    expect(Math.max(...history.map(({ error }) => error.length))).toBeLessThanOrEqual(1_024);
  });

  it('retries in the failing group only', async () => {
    const topic = stage().topic();
    const healthy = await stage().collect(topic);
    const failing = await stage().collect(topic, {}, (delivery) =>
      delivery.attempt === 1 ? delivery.retry({ delayMs: 1, error: 'no' }) : delivery.ack(),
    );
    await stage().send(topic, 'a');
    await gathered(failing, 2);
    await stage().send(topic, 'end');
    await gathered(healthy, 2);
    expect(healthy.texts()).toEqual(['a', 'end']);
  });

  it('remembers attempts and due times over a crash', async () => {
    const { topic, group, dueAtMs } = await inTime(400, async (dueAtMs) => {
      const [topic, group] = [stage().topic(), stage().group()];
      const before = await stage().collect(topic, { group }, (delivery) => {
        if (delivery.attempt > 2) return delivery.ack();
        const delayMs = delivery.attempt === 1 ? 0 : Math.max(0, dueAtMs - Date.now());
        return delivery.retry({ delayMs, error: `failure ${delivery.attempt}` });
      });
      await stage().send(topic, 'a');
      await gathered(before, 2);
      const info = async (): Promise<number | undefined> =>
        (await stage().port.admin.groups()).find((each) => each.group === group)?.retrying;
      await until(async () => before.received.length > 2 || (await info()) === 1, 'the second failure');
      await before.consumer.close();
      return { topic, group, dueAtMs };
    });
    await stage().restart();
    const after = await stage().collect(topic, { group }, keep);
    await gathered(after, 1);
    expect(Date.now()).toBeGreaterThanOrEqual(dueAtMs);
    expect(after.received[0]).toMatchObject({
      attempt: 3,
      history: [{ error: 'failure 1' }, { error: 'failure 2' }],
    });
    await after.received[0]?.ack();
  });

  it('retries what a handler left without a verdict when it threw', async () => {
    const topic = stage().topic();
    const collector = await stage().collect(topic, {}, (delivery) =>
      delivery.attempt === 1 ? Promise.reject(new Error('thrown')) : delivery.ack(),
    );
    await stage().send(topic, 'a');
    await gathered(collector, 2);
    expect(collector.received[1]?.history).toMatchObject([{ attempt: 1, error: 'thrown' }]);
  });
}
