import { expect } from '@jest/globals';
import { it } from './promise.js';
import { gathered, inTime, range } from './stage.js';
import type { Stage } from './stage.js';

export function delaySection(stage: () => Stage): void {
  it('delivers a delayed message when it is due, not before', async () => {
    const topic = stage().topic();
    const collector = await stage().collect(topic);
    const deliverAtMs = Date.now() + 300;
    const receipt = await stage().send(topic, 'later', { deliverAtMs });
    await gathered(collector, 1);
    expect(Date.now()).toBeGreaterThanOrEqual(deliverAtMs);
    expect(collector.received[0]?.message.id).toBe(receipt.messageId);
    expect(collector.received[0]?.message.offset).toBeGreaterThanOrEqual(0);
  });

  it('lets what is sent later pass a delayed message', async () => {
    const topic = stage().topic();
    const collector = await stage().collect(topic);
    const receipt = await stage().send(topic, 'later', { deliverAtMs: Date.now() + 3_600_000 });
    expect(receipt).toMatchObject({ status: 'SEND_OK', partition: -1, offset: -1 });
    await stage().send(topic, 'now');
    await gathered(collector, 1);
    expect(collector.texts()).toEqual(['now']);
    expect(await stage().port.recall(receipt.messageId)).toBe(true);
  });

  it('delivers in the order in which messages are due', async () => {
    // All stored before the first is due.
    const collector = await inTime(200, async (dueAtMs) => {
      const topic = stage().topic();
      await stage().port.admin.createTopic(topic, { partitions: 1 });
      const collector = await stage().collect(topic, { maxInFlightMessages: 1 });
      await Promise.all(
        [3, 1, 4, 2, 5].map((n) => stage().send(topic, String(n), { deliverAtMs: dueAtMs + n * 40 })),
      );
      return collector;
    });
    await gathered(collector, 5);
    expect(collector.texts()).toEqual(['1', '2', '3', '4', '5']);
  });

  it('delivers at once what was due already', async () => {
    const topic = stage().topic();
    const collector = await stage().collect(topic);
    await stage().send(topic, 'a', { deliverAtMs: Date.now() - 60_000 });
    await gathered(collector, 1);
  });

  it.each([-1, NaN, Infinity])('refuses %p as the time of a delivery', async (deliverAtMs) => {
    const sent = stage().send(stage().topic(), 'x', { deliverAtMs });
    await expect(sent).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('never delivers what was recalled', async () => {
    const { collector, recalls } = await inTime(250, async (dueAtMs) => {
      const topic = stage().topic();
      const collector = await stage().collect(topic);
      const [deliverAtMs, timerId] = [dueAtMs, `timer-${topic}`];
      const recalled = await stage().send(topic, 'recalled', { deliverAtMs });
      await stage().send(topic, 'by handle', { deliverAtMs, timerId });
      await stage().send(topic, 'kept', { deliverAtMs: dueAtMs + 50 });
      const recalls: boolean[] = [];
      for (const each of [recalled.messageId, timerId, timerId])
        recalls.push(await stage().port.recall(each));
      return { collector, recalls };
    });
    expect(recalls).toEqual([true, true, true]);
    await gathered(collector, 1);
    expect(collector.texts()).toEqual(['kept']);
  });

  it('delivers at the time that was set last, earlier or later, also after a crash', async () => {
    const inAnHour = Date.now() + 3_600_000;
    const { topic, byId, dueAtMs, isLater } = await inTime(300, async (dueAtMs) => {
      const topic = stage().topic();
      await stage().send(topic, 'sooner', { deliverAtMs: inAnHour, timerId: `sooner-${topic}` });
      await stage().send(topic, 'later', { deliverAtMs: dueAtMs, timerId: `later-${topic}` });
      const byId = await stage().send(topic, 'by its id', { deliverAtMs: inAnHour });
      const isLater = await stage().port.reschedule(`later-${topic}`, inAnHour);
      return { topic, byId, dueAtMs, isLater };
    });
    expect(isLater).toBe(true);
    await stage().restart();
    const collector = await stage().collect(topic);
    const soonMs = Date.now() + 100;
    expect(await stage().port.reschedule(`sooner-${topic}`, soonMs, topic)).toBe(true);
    expect(await stage().port.reschedule(byId.messageId, soonMs)).toBe(true);
    await gathered(collector, 2);
    expect(Date.now()).toBeGreaterThanOrEqual(soonMs);
    expect(collector.texts().sort()).toEqual(['by its id', 'sooner']);
    await stage().send(topic, 'end', { deliverAtMs: Math.max(dueAtMs, Date.now()) + 50 });
    await gathered(collector, 3);
    expect(collector.texts()[2]).toBe('end');
    expect(await stage().port.recall(`later-${topic}`)).toBe(true);
  });

  it('sets no other time for what is unknown, was delivered or recalled, nor one that makes no sense', async () => {
    const topic = stage().topic();
    const collector = await stage().collect(topic);
    const deliverAtMs = Date.now() + 3_600_000;
    const { messageId } = await stage().send(topic, 'recalled', { deliverAtMs });
    await stage().port.recall(messageId);
    await stage().send(topic, 'delivered', { deliverAtMs: Date.now() + 20, timerId: `timer-${topic}` });
    await gathered(collector, 1);
    for (const timerId of [messageId, `timer-${topic}`, 'never heard of'])
      expect(await stage().port.reschedule(timerId, deliverAtMs)).toBe(false);
    const never = stage().port.reschedule('any', NaN);
    await expect(never).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('says that nothing was recalled when the handle is unknown or the message was delivered', async () => {
    const topic = stage().topic();
    const collector = await stage().collect(topic);
    await stage().send(topic, 'a', { deliverAtMs: Date.now() + 20, timerId: `timer-${topic}` });
    await gathered(collector, 1);
    expect(await stage().port.recall(`timer-${topic}`)).toBe(false);
    expect(await stage().port.recall('never heard of')).toBe(false);
  });

  it('takes a second message under a pending handle as a duplicate', async () => {
    const { topic, collector, first, second, dueAtMs } = await inTime(200, async (dueAtMs) => {
      const topic = stage().topic();
      const collector = await stage().collect(topic);
      const timer = { deliverAtMs: dueAtMs, timerId: `timer-${topic}` };
      const first = await stage().send(topic, 'first', timer);
      const second = await stage().send(topic, 'second', timer);
      return { topic, collector, first, second, dueAtMs };
    });
    expect(first.duplicate).toBe(false);
    expect(second).toMatchObject({ duplicate: true, messageId: first.messageId });
    await gathered(collector, 1);
    await stage().send(topic, 'end', { deliverAtMs: dueAtMs + 50 });
    await gathered(collector, 2);
    expect(collector.texts()).toEqual(['first', 'end']);
  });

  it('keeps delayed messages and recalls over a crash; what came due meanwhile is delivered on start', async () => {
    const { topic, isRecalled, dueAtMs } = await inTime(200, async (dueAtMs) => {
      const topic = stage().topic();
      await stage().send(topic, 'due while down', { deliverAtMs: dueAtMs });
      await stage().send(topic, 'due later', { deliverAtMs: dueAtMs + 200 });
      const recalled = await stage().send(topic, 'recalled', { deliverAtMs: dueAtMs });
      const isRecalled = await stage().port.recall(recalled.messageId);
      return { topic, isRecalled, dueAtMs };
    });
    expect(isRecalled).toBe(true);
    await stage().restart(dueAtMs);
    const collector = await stage().collect(topic);
    await gathered(collector, 2);
    expect(collector.texts().sort()).toEqual(['due later', 'due while down']);
  });

  it('counts pending timers', async () => {
    const topic = stage().topic();
    const before = await stage().port.admin.timers();
    const receipts = await Promise.all(
      range(5).map((n) => stage().send(topic, 'a', { deliverAtMs: Date.now() + 3_600_000 + n })),
    );
    const during = await stage().port.admin.timers();
    expect(during.pending - before.pending).toBe(5);
    expect(during.nextDueAtMs).toBeDefined();
    for (const { messageId } of receipts) await stage().port.recall(messageId);
    expect((await stage().port.admin.timers()).pending).toBe(before.pending);
  });
}
