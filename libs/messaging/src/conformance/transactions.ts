import { expect } from '@jest/globals';
import type { PendingTransaction, TransactionDecision } from '../broker-port.js';
import { it } from './promise.js';
import type { BrokerTimes } from './broker-under-test.js';
import { gathered, inTime, range, until } from './stage.js';
import type { Stage } from './stage.js';

export function transactionSection(stage: () => Stage, times: BrokerTimes): void {
  const prepare = (
    topic: string,
    texts: readonly string[],
    producerGroup = stage().group(),
    deliverAtMs?: number,
  ): Promise<PendingTransaction> =>
    stage().port.prepare(
      producerGroup,
      texts.map((text) => ({
        topic,
        tag: 'sent',
        body: Buffer.from(text),
        ...(deliverAtMs === undefined ? {} : { deliverAtMs }),
      })),
    );

  it('shows messages with the commit, not before, and never after a rollback', async () => {
    const topic = stage().topic();
    const collector = await stage().collect(topic);
    const committed = await prepare(topic, ['committed 1', 'committed 2']);
    const dropped = await prepare(topic, ['rolled back']);
    await stage().send(topic, 'plain');
    await gathered(collector, 1);
    await dropped.rollback();
    const receipts = await committed.commit();
    expect(receipts).toMatchObject([
      { topic, status: 'SEND_OK' },
      { topic, status: 'SEND_OK' },
    ]);
    await gathered(collector, 3);
    expect(collector.texts()[0]).toBe('plain');
    expect(collector.texts().slice(1).sort()).toEqual(['committed 1', 'committed 2']);
  });

  it('takes the first decision: repeating it is fine, the opposite is a conflict', async () => {
    const topic = stage().topic();
    const collector = await stage().collect(topic);
    const committed = await prepare(topic, ['a']);
    await committed.commit();
    await committed.commit();
    await expect(committed.rollback()).rejects.toMatchObject({ code: 'TRANSACTION_CONFLICT' });
    const dropped = await prepare(topic, ['b']);
    await dropped.rollback();
    await dropped.rollback();
    await expect(dropped.commit()).rejects.toMatchObject({ code: 'TRANSACTION_CONFLICT' });
    await stage().send(topic, 'end');
    await gathered(collector, 2);
    expect(collector.texts().sort()).toEqual(['a', 'end']);
  });

  it('starts the delay of a delayed half message with the commit', async () => {
    const { collector, receipts, dueAtMs } = await inTime(200, async (dueAtMs) => {
      const topic = stage().topic();
      const collector = await stage().collect(topic);
      const transaction = await prepare(topic, ['delayed'], stage().group(), dueAtMs);
      return { collector, receipts: await transaction.commit(), dueAtMs };
    });
    expect(receipts).toMatchObject([{ partition: -1 }]);
    await gathered(collector, 1);
    expect(Date.now()).toBeGreaterThanOrEqual(dueAtMs);
  });

  it('asks the producer group when no decision comes, and does what it answers', async () => {
    const topic = stage().topic();
    const group = stage().group();
    const asked: [string, string[]][] = [];
    const decisions = new Map<string, TransactionDecision>();
    await stage().port.onCheckBack(group, (id, messages) => {
      asked.push([id, messages.map(({ body }) => Buffer.from(body).toString())]);
      return Promise.resolve(decisions.get(id) ?? 'unknown');
    });
    const collector = await stage().collect(topic);
    const yes = await prepare(topic, ['yes 1', 'yes 2'], group);
    const no = await prepare(topic, ['no'], group);
    decisions.set(yes.transactionId, 'commit');
    decisions.set(no.transactionId, 'rollback');
    await gathered(collector, 2);
    const { admin } = stage().port;
    await until(async () => (await admin.transactions()).pending === 0, 'both decisions');
    expect(collector.texts().sort()).toEqual(['yes 1', 'yes 2']);
    expect(asked).toContainEqual([yes.transactionId, ['yes 1', 'yes 2']]);
    await expect(no.commit()).rejects.toMatchObject({ code: 'TRANSACTION_CONFLICT' });
  });

  it('asks again after an answer of unknown', async () => {
    const topic = stage().topic();
    const group = stage().group();
    let checks = 0;
    await stage().port.onCheckBack(group, () => Promise.resolve(++checks < 2 ? 'unknown' : 'commit'));
    const collector = await stage().collect(topic);
    await prepare(topic, ['a'], group);
    await gathered(collector, 1);
    expect(checks).toBe(2);
  });

  it('parks a transaction that never gets a decision; an operator may still decide it', async () => {
    const topic = stage().topic();
    const group = stage().group();
    let checks = 0;
    await stage().port.onCheckBack(group, () => {
      checks++;
      return Promise.resolve('unknown');
    });
    const collector = await stage().collect(topic);
    const transaction = await prepare(topic, ['a'], group);
    const parked = async (): Promise<number | undefined> =>
      (await stage().port.admin.transactions()).parked.find(({ producerGroup }) => producerGroup === group)
        ?.checks;
    await until(async () => (await parked()) !== undefined, 'the transaction to be parked');
    expect(checks).toBe(times.maxChecks);
    expect(await parked()).toBe(times.maxChecks);
    await stage().port.admin.decideTransaction(transaction.transactionId, 'commit');
    await gathered(collector, 1);
    expect(await parked()).toBeUndefined();
    // The producer comes back: its own decision is late, and treated as any other second one.
    await transaction.commit();
    await expect(transaction.rollback()).rejects.toMatchObject({ code: 'TRANSACTION_CONFLICT' });
  });

  it('refuses an operator’s decision after the opposite one, and for an unknown transaction', async () => {
    const { admin } = stage().port;
    const transaction = await prepare(stage().topic(), ['a']);
    await admin.decideTransaction(transaction.transactionId, 'rollback');
    await admin.decideTransaction(transaction.transactionId, 'rollback');
    const late = admin.decideTransaction(transaction.transactionId, 'commit');
    await expect(late).rejects.toMatchObject({ code: 'TRANSACTION_CONFLICT' });
    const unknown = admin.decideTransaction('unknown', 'commit');
    await expect(unknown).rejects.toMatchObject({ code: 'UNKNOWN_TRANSACTION' });
  });

  it('does not use up checks while the producer is away', async () => {
    const topic = stage().topic();
    const group = stage().group();
    const collector = await stage().collect(topic);
    await prepare(topic, ['a'], group);
    const awayMs = times.firstCheckMs + times.checkEveryMs * (times.maxChecks + 2);
    const sinceMs = Date.now();
    await until(() => Date.now() - sinceMs > awayMs, 'the producer to be away for long enough');
    expect(
      (await stage().port.admin.transactions()).parked.some(({ producerGroup }) => producerGroup === group),
    ).toBe(false);
    await stage().port.onCheckBack(group, () => Promise.resolve('commit'));
    await gathered(collector, 1);
  });

  it('keeps half messages and decisions over a crash', async () => {
    const topic = stage().topic();
    const group = stage().group();
    await prepare(topic, ['undecided'], group);
    const committed = await prepare(topic, ['committed'], stage().group());
    const dropped = await prepare(topic, ['rolled back'], stage().group());
    await committed.commit();
    await dropped.rollback();
    await stage().restart();
    const collector = await stage().collect(topic);
    await gathered(collector, 1);
    await stage().port.onCheckBack(group, () => Promise.resolve('commit'));
    await gathered(collector, 2);
    await stage().send(topic, 'end');
    await gathered(collector, 3);
    expect(collector.texts()).toEqual(['committed', 'undecided', 'end']);
  });

  it('ends every mix of decisions right', async () => {
    const topic = stage().topic();
    const group = stage().group();
    const collector = await stage().collect(topic);
    const asked = new Map<string, number>();
    const plans = new Map<string, TransactionDecision>();
    await stage().port.onCheckBack(group, (id) => {
      const times = (asked.get(id) ?? 0) + 1;
      asked.set(id, times);
      return Promise.resolve(times === 1 ? 'unknown' : (plans.get(id) ?? 'unknown'));
    });
    const expected: string[] = [];
    await Promise.all(
      range(60).map(async (n) => {
        const transaction = await prepare(topic, [String(n)], group);
        const plan = n % 4;
        if (plan % 2 === 0) expected.push(String(n));
        if (plan === 0) await transaction.commit();
        if (plan === 1) await transaction.rollback();
        if (plan === 2) plans.set(transaction.transactionId, 'commit');
        if (plan === 3) plans.set(transaction.transactionId, 'rollback');
      }),
    );
    await gathered(collector, 30);
    await until(async () => (await stage().port.admin.transactions()).pending === 0, 'every decision');
    expect(collector.texts().sort()).toEqual(expected.sort());
  });
}
