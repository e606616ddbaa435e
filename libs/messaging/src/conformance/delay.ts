import { expect, it } from '@jest/globals';
import { gathered, range, until } from './stage.js';
import type { Stage } from './stage.js';

export function delaySection(stage: () => Stage): void {
  it('delivers a delayed message when it is due, not before', async () => {
    const topic = stage().topic();
    const collector = await stage().collect(topic);
    const deliverAtMs = Date.now() + 300;
    const receipt = await stage().send(topic, 'later', { deliverAtMs });
    expect(receipt).toMatchObject({ status: 'SEND_OK', partition: -1, offset: -1 });
    await stage().send(topic, 'now');
    await gathered(collector, 2);
    expect(Date.now()).toBeGreaterThanOrEqual(deliverAtMs);
    expect(collector.texts()).toEqual(['now', 'later']);
    expect(collector.received[1]?.message.id).toBe(receipt.messageId);
    expect(collector.received[1]?.message.offset).toBeGreaterThanOrEqual(0);
  });

  it('delivers in the order in which messages are due', async () => {
    const topic = stage().topic();
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    const collector = await stage().collect(topic, { maxInFlightMessages: 1 });
    const nowMs = Date.now();
    // All stored before the first is due, also on a disk that takes its time.
    await Promise.all(
      [3, 1, 4, 2, 5].map((n) => stage().send(topic, String(n), { deliverAtMs: nowMs + 400 + n * 40 })),
    );
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
    const topic = stage().topic();
    const collector = await stage().collect(topic);
    const deliverAtMs = Date.now() + 250;
    const recalled = await stage().send(topic, 'recalled', { deliverAtMs });
    await stage().send(topic, 'by handle', { deliverAtMs, timerId: `timer-${topic}` });
    await stage().send(topic, 'kept', { deliverAtMs: deliverAtMs + 50 });
    expect(await stage().port.recall(recalled.messageId)).toBe(true);
    expect(await stage().port.recall(`timer-${topic}`)).toBe(true);
    expect(await stage().port.recall(`timer-${topic}`)).toBe(true);
    await gathered(collector, 1);
    expect(collector.texts()).toEqual(['kept']);
  });

  it('delivers at the time that was set last, earlier or later, also after a crash', async () => {
    const topic = stage().topic();
    const inAnHour = Date.now() + 3_600_000;
    await stage().send(topic, 'sooner', { deliverAtMs: inAnHour, timerId: `sooner-${topic}` });
    await stage().send(topic, 'later', { deliverAtMs: Date.now() + 500, timerId: `later-${topic}` });
    const byId = await stage().send(topic, 'by its id', { deliverAtMs: inAnHour });
    expect(await stage().port.reschedule(`later-${topic}`, inAnHour)).toBe(true);
    await stage().restart();
    const collector = await stage().collect(topic);
    const soonMs = Date.now() + 100;
    expect(await stage().port.reschedule(`sooner-${topic}`, soonMs, topic)).toBe(true);
    expect(await stage().port.reschedule(byId.messageId, soonMs + 50)).toBe(true);
    await stage().send(topic, 'end', { deliverAtMs: soonMs + 600 });
    await gathered(collector, 3);
    expect(collector.texts()).toEqual(['sooner', 'by its id', 'end']);
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
    const topic = stage().topic();
    const collector = await stage().collect(topic);
    const timerId = `timer-${topic}`;
    const deliverAtMs = Date.now() + 200;
    const first = await stage().send(topic, 'first', { deliverAtMs, timerId });
    const second = await stage().send(topic, 'second', { deliverAtMs, timerId });
    expect(first.duplicate).toBe(false);
    expect(second).toMatchObject({ duplicate: true, messageId: first.messageId });
    await stage().send(topic, 'end', { deliverAtMs: deliverAtMs + 50 });
    await gathered(collector, 2);
    expect(collector.texts()).toEqual(['first', 'end']);
  });

  it('keeps delayed messages and recalls over a crash; what came due meanwhile is delivered on start', async () => {
    const topic = stage().topic();
    const deliverAtMs = Date.now() + 60;
    await stage().send(topic, 'due while down', { deliverAtMs });
    await stage().send(topic, 'due later', { deliverAtMs: Date.now() + 1_500 });
    const recalled = await stage().send(topic, 'recalled', { deliverAtMs: Date.now() + 700 });
    expect(await stage().port.recall(recalled.messageId)).toBe(true);
    await until(() => Date.now() > deliverAtMs, 'the time to pass');
    await stage().restart();
    const collector = await stage().collect(topic);
    await gathered(collector, 2);
    expect(collector.texts()).toEqual(['due while down', 'due later']);
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
