import { expect } from '@jest/globals';
import type { DeadLetter } from '../message.js';
import { deadLetterTopic } from '../message.js';
import { it } from './promise.js';
import { gathered, range, textOf, until } from './stage.js';
import type { Collector, Stage } from './stage.js';

export function deadLetterSection(stage: () => Stage): void {
  const letters = (group: string): Promise<DeadLetter[]> => stage().port.admin.deadLetters(group);

  /** A group that gives up `bad…` messages after one retry and takes all others. */
  const givingUp = (topic: string, group: string, healed: () => boolean = () => false): Promise<Collector> =>
    stage().collect(topic, { group }, (delivery) => {
      if (healed() || !textOf(delivery).startsWith('bad')) return delivery.ack();
      return delivery.attempt === 1
        ? delivery.retry({ delayMs: 0, error: 'first failure' })
        : delivery.deadLetter({ reason: 'retries-exhausted', error: 'gave up' });
    });

  it('keeps a given-up message with its cause, its attempts and its origin', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const collector = await givingUp(topic, group);
    const receipt = await stage().send(topic, 'bad', { key: 'k', headers: { h: 'v' } });
    await stage().send(topic, 'good');
    await gathered(collector, 3);
    await until(async () => (await letters(group)).length === 1, 'the dead letter');
    const [letter] = await letters(group);
    expect(letter).toMatchObject({
      id: receipt.messageId,
      group,
      reason: 'retries-exhausted',
      error: 'gave up',
      attempts: [{ attempt: 1, error: 'first failure' }, { attempt: 2 }],
      message: {
        id: receipt.messageId,
        topic,
        tag: 'sent',
        key: 'k',
        headers: { h: 'v' },
        partition: receipt.partition,
        offset: receipt.offset,
      },
    });
    expect(letter && textOf(letter)).toBe('bad');
    const infoOf = async () => (await stage().port.admin.groups()).find((each) => each.group === group);
    // The other message's acknowledgement may still be on its way.
    await until(async () => (await infoOf())?.lag === 0, 'the end of the lag');
    expect(await infoOf()).toMatchObject({ deadLetters: 1, lag: 0, retrying: 0 });
  });

  it('gives a redriven message back as a first attempt that knows its history, once', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    let healed = false;
    const collector = await givingUp(topic, group, () => healed);
    const { messageId } = await stage().send(topic, 'bad');
    await until(async () => (await letters(group)).length === 1, 'the dead letter');
    healed = true;
    expect(await stage().port.admin.redrive(group, messageId)).toBe(true);
    expect(await stage().port.admin.redrive(group, messageId)).toBe(false);
    await gathered(collector, 3);
    expect(collector.received[2]).toMatchObject({ attempt: 1, message: { id: messageId, topic } });
    expect(collector.received[2]?.history.length).toBeGreaterThan(0);
    expect(await letters(group)).toEqual([]);
  });

  it('can give up a redriven message again', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const collector = await givingUp(topic, group);
    const { messageId } = await stage().send(topic, 'bad');
    for (const seen of [2, 4]) {
      await gathered(collector, seen);
      await until(async () => (await letters(group)).length === 1, 'the dead letter');
      expect(await stage().port.admin.redrive(group, messageId)).toBe(true);
    }
    await until(async () => (await letters(group)).length === 1, 'the dead letter again');
  });

  it('gives back all that match, oldest first, each once, whoever asks how often', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    let healed = false;
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    const collector = await givingUp(topic, group, () => healed);
    for (const n of range(6)) {
      await stage().send(topic, `bad ${n}`, { tag: n < 2 ? 'other' : 'sent' });
      await until(async () => (await letters(group)).length === n + 1, 'the dead letter');
    }
    healed = true;
    const seen = collector.received.length;
    const { admin } = stage().port;
    const reports = await Promise.all(
      range(2).map(() => admin.redriveAll(group, { topic, tag: 'sent' }, { ratePerSecond: 1_000 })),
    );
    expect(reports.map(({ matched }) => matched)).toEqual([4, 4]);
    expect(reports.reduce((sum, { redriven }) => sum + redriven, 0)).toBe(4);
    await gathered(collector, seen + 4);
    const back = collector.received.slice(seen);
    expect(back.map(textOf)).toEqual(range(4).map((n) => `bad ${n + 2}`));
    expect(back.every(({ attempt, history }) => attempt === 1 && history.length > 0)).toBe(true);
    expect((await letters(group)).map(textOf)).toEqual(['bad 0', 'bad 1']);
    expect(await admin.redriveAll(group, { reason: 'ttl-expired' })).toMatchObject({ matched: 0 });
    const rest = await admin.redriveAll(group, { upToOffset: reports[0]?.upToOffset ?? -1 });
    expect(rest).toMatchObject({ matched: 2, redriven: 2, remaining: 0 });
  });

  it('gives an edited message back as it was edited, and leaves it alone until then, also after a crash', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const first = await givingUp(topic, group);
    const { messageId } = await stage().send(topic, 'bad', { key: 'k', headers: { kept: 'no' } });
    await until(async () => (await letters(group)).length === 1, 'the dead letter');
    await first.consumer.close();
    const [before] = await letters(group);
    const { admin } = stage().connect('operator');
    expect(await admin.editDeadLetter(group, messageId, { body: Buffer.from('better') })).toBe(true);
    const headers = { mended: 'yes' };
    expect(await admin.editDeadLetter(group, messageId, { headers })).toBe(true);
    await stage().restart();
    const [letter] = await letters(group);
    const { message, ...about } = letter as DeadLetter;
    expect({ ...about, message: { ...message, body: 'x' } }).toEqual({
      ...before,
      message: { ...before?.message, headers, body: 'x' },
    });
    expect(textOf({ message })).toBe('better');
    const edits = (await stage().port.admin.audit({ group })).filter(
      ({ action }) => action === 'edit-dead-letter',
    );
    expect(edits).toMatchObject([
      { by: 'operator', subject: `${messageId} body` },
      { by: 'operator', subject: `${messageId} headers` },
    ]);
    const second = await givingUp(topic, group);
    expect(await stage().port.admin.redrive(group, messageId)).toBe(true);
    await gathered(second, 1);
    expect(second.received[0]).toMatchObject({
      attempt: 1,
      message: { id: messageId, topic, key: 'k', headers },
    });
    expect(second.texts()).toEqual(['better']);
    expect(await stage().port.admin.editDeadLetter(group, messageId, { headers })).toBe(false);
  });

  it('refuses an edit that a send would refuse, or that changes nothing', async () => {
    const { admin } = stage().port;
    const refused = (change: object) =>
      expect(admin.editDeadLetter('g', 'm', change)).rejects.toMatchObject({ kind: 'invalid' });
    await refused({});
    await refused({ headers: { name: 'NUL \0' } });
    await refused({ headers: { name: 5 } });
    await refused({ body: Buffer.alloc(1024 * 1024 + 1) });
    await refused({ body: 'text' });
  });

  it('tells what a redrive would give back, and gives nothing', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const collector = await givingUp(topic, group);
    await stage().sendAll(topic, ['bad 1', 'bad 2']);
    await stage().send(topic, 'bad 3', { tag: 'other' });
    await until(async () => (await letters(group)).length === 3, 'the dead letters');
    const { admin } = stage().port;
    const acts = (await admin.audit({ group })).length;
    const seen = collector.received.length;
    const report = await admin.redriveAll(group, { tag: 'sent' }, { dryRun: true });
    expect(report).toMatchObject({ matched: 2, redriven: 0, remaining: 2 });
    expect(await admin.redriveAll(group, {}, { dryRun: true })).toMatchObject({ matched: 3, redriven: 0 });
    expect(await letters(group)).toHaveLength(3);
    expect(collector.received).toHaveLength(seen);
    expect(await admin.audit({ group })).toHaveLength(acts);
  });

  it('paces what it gives back', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    let healed = false;
    await givingUp(topic, group, () => healed);
    await stage().sendAll(
      topic,
      range(11).map((n) => `bad ${n}`),
    );
    await until(async () => (await letters(group)).length === 11, 'the dead letters');
    healed = true;
    const startedAt = performance.now();
    let remaining = 11;
    // Once more for those that a call had no time for.
    while (remaining > 0)
      ({ remaining } = await stage().port.admin.redriveAll(group, {}, { ratePerSecond: 20 }));
    expect(performance.now() - startedAt).toBeGreaterThan(450);
    expect(await letters(group)).toEqual([]);
  });

  it('refuses a filter or a pace that makes no sense', async () => {
    const { admin } = stage().port;
    const refused = { code: 'INVALID_ARGUMENT' };
    await expect(admin.redriveAll('g', { reason: 'bad luck' as never })).rejects.toMatchObject(refused);
    await expect(admin.redriveAll('g', {}, { ratePerSecond: 0 })).rejects.toMatchObject(refused);
  });

  it('gives back by itself what failed because of the world, after a cool-down and not for ever', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    const automaticRedrive = { coolDownMs: 1_000, maxPerMessage: 1 };
    const collector = await stage().collect(topic, { group, automaticRedrive }, (delivery) =>
      delivery.deadLetter({
        reason: 'retries-exhausted',
        error: 'down',
        kind: textOf(delivery) === 'bad' ? 'unknown' : 'transient',
      }),
    );
    await stage().sendAll(topic, ['bad', 'unlucky']);
    await until(async () => (await letters(group)).length === 2, 'the dead letters');
    await gathered(collector, 3);
    expect(collector.received[2]).toMatchObject({ attempt: 1, history: [{ error: 'down' }] });
    expect(collector.texts()[2]).toBe('unlucky');
    await until(async () => (await letters(group)).length === 2, 'its second death');
    // Whose cool-down ends later than another one of the first would.
    await stage().send(topic, 'unlucky later');
    await gathered(collector, 5);
    await until(async () => (await letters(group)).length === 3, 'its second death');
    expect(collector.texts()).toEqual(['bad', 'unlucky', 'unlucky', 'unlucky later', 'unlucky later']);
    const known = (await letters(group)).map((letter) => [
      textOf(letter),
      letter.kind,
      letter.automaticRedrives,
    ]);
    expect(known).toEqual([
      ['bad', 'unknown', 0],
      ['unlucky', 'transient', 1],
      ['unlucky later', 'transient', 1],
    ]);
  });

  it('drops a discarded dead letter for good', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    await givingUp(topic, group);
    const { messageId } = await stage().send(topic, 'bad');
    await until(async () => (await letters(group)).length === 1, 'the dead letter');
    expect(await stage().port.admin.discard(group, messageId)).toBe(true);
    expect(await stage().port.admin.discard(group, messageId)).toBe(false);
    expect(await stage().port.admin.redrive(group, messageId)).toBe(false);
    expect(await letters(group)).toEqual([]);
  });

  it('lists dead letters oldest first and by page', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    await stage().port.admin.createTopic(topic, { partitions: 1 });
    await givingUp(topic, group);
    for (const n of range(5)) {
      await stage().send(topic, `bad ${n}`);
      await until(async () => (await letters(group)).length === n + 1, 'the dead letter');
    }
    expect((await letters(group)).map(textOf)).toEqual(range(5).map((n) => `bad ${n}`));
    expect((await stage().port.admin.deadLetters(group, { limit: 2 })).map(textOf)).toEqual([
      'bad 0',
      'bad 1',
    ]);
    const afterOffset = (await letters(group))[1]?.offset ?? -1;
    const next = await stage().port.admin.deadLetters(group, { limit: 2, afterOffset });
    expect(next.map(textOf)).toEqual(['bad 2', 'bad 3']);
  });

  it('answers for a group without dead letters', async () => {
    expect(await stage().port.admin.redrive(stage().group(), 'unknown')).toBe(false);
    expect(await stage().port.admin.discard(stage().group(), 'unknown')).toBe(false);
  });

  it('keeps dead letters, their redrives and their discards over a crash', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    await givingUp(topic, group);
    const ids: string[] = [];
    for (const n of range(3)) ids.push((await stage().send(topic, `bad ${n}`)).messageId);
    await until(async () => (await letters(group)).length === 3, 'the dead letters');
    await stage().port.admin.discard(group, ids[0] ?? '');
    await stage().port.admin.redrive(group, ids[1] ?? '');
    await until(async () => (await letters(group)).length === 2, 'the redriven one to fail again');
    await stage().restart();
    expect((await letters(group)).map(textOf).sort()).toEqual(['bad 1', 'bad 2']);
    expect(await stage().port.admin.discard(group, ids[0] ?? '')).toBe(false);
  });

  it('lets others subscribe to dead letters as to any topic', async () => {
    const [topic, group] = [stage().topic(), stage().group()];
    await givingUp(topic, group);
    const watcher = await stage().collect(deadLetterTopic(group));
    const { messageId } = await stage().send(topic, 'bad');
    await gathered(watcher, 1);
    expect(watcher.received[0]?.message.id).toBe(messageId);
    expect(watcher.texts()).toEqual(['bad']);
    expect(watcher.received[0]?.message.headers).toMatchObject({
      'x-dead-letter-reason': 'retries-exhausted',
      'x-dead-letter-error': 'gave up',
      'x-dead-letter-group': group,
    });
  });
}
