import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { MessageBus } from './bus.js';
import { defineEvent } from './contract.js';
import { envelope } from './envelope.js';
import { DomainError, MessagingError } from './errors.js';
import { ROLLBACK_AFTER_MS, WRITE_DEADLINE_MS, WriteRaceLost, decideByWrite } from './local-write.js';
import { FakeBroker } from './testing/fake-broker.js';
import { parseTraceparent, traceContext } from './trace-context.js';

const OrderPaid = defineEvent({
  topic: 'order',
  tag: 'paid',
  version: 3,
  key: (order) => order.orderNo,
  payload: z.object({ orderNo: z.string().min(1) }),
});

const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

function busOver(broker: FakeBroker, validate = true): MessageBus {
  return new MessageBus(broker, { producer: 'order', validate, clock: { now: () => 1_000 } });
}

describe('sending', () => {
  it('addresses and describes the message by its contract', async () => {
    const broker = new FakeBroker();
    const receipt = await busOver(broker).send(
      OrderPaid,
      { orderNo: 'A1' },
      { id: 'id-1', headers: { mine: 'yes' } },
    );
    expect(receipt).toMatchObject({ status: 'SEND_OK', messageId: 'id-1', topic: 'order' });
    const [message] = broker.sent;
    expect(message).toMatchObject({ topic: 'order', tag: 'paid', key: 'A1', id: 'id-1' });
    expect(message?.headers).toMatchObject({
      'content-type': 'application/json',
      producer: 'order',
      version: '3',
      mine: 'yes',
    });
    expect(JSON.parse(Buffer.from(message?.body ?? []).toString())).toEqual({ orderNo: 'A1' });
  });

  it('takes what is stored and not known to be on disk for an unknown outcome, under an id that can be sent again', async () => {
    const broker = new FakeBroker();
    broker.status = 'FLUSH_TIMEOUT';
    const sent = busOver(broker).send(OrderPaid, { orderNo: 'A1' }, { id: 'id-1' });
    await expect(sent).rejects.toMatchObject({ code: 'FLUSH_TIMEOUT', kind: 'transient' });
    await expect(sent).rejects.toThrow('id-1');
  });

  it('hands a one-way message over as any other, and waits for nothing', () => {
    const broker = new FakeBroker();
    busOver(broker).sendOneway(OrderPaid, { orderNo: 'A1' }, { id: 'id-1' });
    expect(broker.sent).toMatchObject([{ topic: 'order', tag: 'paid', key: 'A1', id: 'id-1' }]);
    expect(() => busOver(broker).sendOneway(OrderPaid, { orderNo: '' })).toThrow('INVALID_PAYLOAD');
  });

  it("delays by RocketMQ's levels", async () => {
    const broker = new FakeBroker();
    for (const delayLevel of [0, 1, 18, 20])
      await busOver(broker).send(OrderPaid, { orderNo: 'A1' }, { delayLevel });
    expect(broker.sent.map(({ deliverAtMs }) => deliverAtMs)).toEqual([
      undefined,
      2_000,
      7_201_000,
      7_201_000,
    ]);
    for (const options of [{ delayLevel: -1 }, { delayLevel: 1.5 }, { delayLevel: 1, delayMs: 1 }]) {
      const sent = busOver(broker).send(OrderPaid, { orderNo: 'A1' }, options);
      await expect(sent).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });

  it('continues the trace it runs in, or the one given with the message', async () => {
    const broker = new FakeBroker();
    const bus = busOver(broker);
    await traceContext.run(TRACE, () => bus.send(OrderPaid, { orderNo: 'A1' }));
    await bus.send(OrderPaid, { orderNo: 'A1' }, { headers: { traceparent: TRACE } });
    await bus.send(OrderPaid, { orderNo: 'A1' });
    const traces = broker.sent.map(({ headers }) => parseTraceparent(headers?.['traceparent']));
    const given = parseTraceparent(TRACE);
    expect(traces.map((trace) => trace?.traceId === given?.traceId)).toEqual([true, true, false]);
    expect(traces.every((trace) => trace !== undefined && trace.spanId !== given?.spanId)).toBe(true);
  });

  it('turns a delay into a time, and accepts only one of both', async () => {
    const broker = new FakeBroker();
    const bus = busOver(broker);
    await bus.send(OrderPaid, { orderNo: 'A1' }, { delayMs: 500, timerId: 't' });
    await bus.send(OrderPaid, { orderNo: 'A1' }, { deliverAtMs: 77 });
    expect(broker.sent.map(({ deliverAtMs }) => deliverAtMs)).toEqual([1_500, 77]);
    expect(await bus.recall('t')).toBe(true);
    const both = bus.send(OrderPaid, { orderNo: 'A1' }, { delayMs: 1, deliverAtMs: 1 });
    await expect(both).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(bus.send(OrderPaid, { orderNo: 'A1' }, { delayMs: -1 })).rejects.toThrow('delayMs');
  });

  it('refuses a payload that is not what the contract says, and sends none of its batch', async () => {
    const broker = new FakeBroker();
    const wrong = busOver(broker).sendBatch([
      envelope(OrderPaid, { orderNo: 'A1' }),
      envelope(OrderPaid, { orderNo: '' }),
    ]);
    await expect(wrong).rejects.toMatchObject({ code: 'INVALID_PAYLOAD', kind: 'invalid' });
    await expect(wrong).rejects.toThrow('orderNo');
    expect(broker.sent).toEqual([]);
  });

  it('does not spend the time on checking in production', async () => {
    const broker = new FakeBroker();
    await busOver(broker, false).send(OrderPaid, { orderNo: '' });
    expect(broker.sent).toHaveLength(1);
  });

  it('asks nothing of the broker for an empty batch', async () => {
    expect(await busOver(new FakeBroker()).sendBatch([])).toEqual([]);
  });
});

describe('a transactional message', () => {
  const messages = [envelope(OrderPaid, { orderNo: 'A1' })];

  it('is not visible until the local transaction is done', async () => {
    const broker = new FakeBroker();
    const result = await busOver(broker).transactional('order', messages, () => {
      expect(broker.sent).toEqual([]);
      return Promise.resolve('written');
    });
    expect(result).toBe('written');
    expect(broker.sent).toHaveLength(1);
  });

  const failingStatement = new Error('duplicate key');
  it.each([
    ['a lost race', new WriteRaceLost()],
    ['a refusal of the domain', new DomainError('SOLD_OUT', 'conflict', 'no row')],
    ['a statement that the database says has failed', failingStatement],
  ])('is dropped when %s proves that nothing was written; the caller gets that error', async (_, error) => {
    const broker = new FakeBroker();
    const bus = new MessageBus(broker, {
      producer: 'order',
      provesNothingWritten: (cause) => cause === failingStatement,
    });
    await expect(bus.transactional('order', messages, () => Promise.reject(error))).rejects.toBe(error);
    expect(broker.decisions).toEqual(['rollback']);
    expect(broker.sent).toEqual([]);
  });

  it.each([
    ['a connection that broke', new Error('ECONNRESET')],
    ['the outside being at fault', new DomainError('AWAY', 'transient', 'away')],
    ['something that is no error', 'a string'],
  ])('stays half when %s leaves it open whether it was written', async (_, cause) => {
    const broker = new FakeBroker();
    const failed = busOver(broker).transactional('order', messages, () => Promise.reject(cause as Error));
    await expect(failed).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', kind: 'transient', cause });
    expect(broker.decisions).toEqual([]);
    expect(broker.sent).toEqual([]);
  });

  it('is left to the check-back when the broker is away at the time of the decision', async () => {
    const broker = new FakeBroker();
    broker.decisionError = new MessagingError('BROKER_UNAVAILABLE', 'gone');
    const bus = busOver(broker);
    expect(await bus.transactional('order', messages, () => Promise.resolve('written'))).toBe('written');
    const failed = bus.transactional('order', messages, () => Promise.reject(new WriteRaceLost()));
    await expect(failed).rejects.toThrow(WriteRaceLost);
  });

  it('is left to the check-back when the broker gives an answer to the decision that says nothing of it', async () => {
    const broker = new FakeBroker();
    broker.decisionError = new MessagingError('PROTOCOL_ERROR', 'garbled');
    const bus = busOver(broker);
    expect(await bus.transactional('order', messages, () => Promise.resolve('written'))).toBe('written');
  });

  it('says so when it was rolled back although the local transaction is done', async () => {
    const broker = new FakeBroker();
    broker.decisionError = new MessagingError('TRANSACTION_CONFLICT', 'rolled back');
    const lost = busOver(broker).transactional('order', messages, () => Promise.resolve('written'));
    await expect(lost).rejects.toMatchObject({ code: 'TRANSACTION_CONFLICT' });
  });

  it('without messages is just the local transaction', async () => {
    expect(await busOver(new FakeBroker()).transactional('order', [], () => Promise.resolve(1))).toBe(1);
  });
});

describe('a check-back', () => {
  it('rolls back later than any write that is in time, also when a clock is set back a little', () => {
    expect(ROLLBACK_AFTER_MS).toBeGreaterThanOrEqual(WRITE_DEADLINE_MS + 10_000);
  });

  const decide = (looks: boolean[], hasEnded: boolean): ReturnType<typeof decideByWrite> =>
    decideByWrite({
      isWritten: () => Promise.resolve(looks.shift() ?? false),
      hasEnded: () => Promise.resolve(hasEnded),
    });

  it('commits what was written', async () => {
    expect(await decide([true], false)).toBe('commit');
  });

  it('does not know while the write may still come', async () => {
    expect(await decide([false], false)).toBe('unknown');
  });

  it('rolls back what can no longer come', async () => {
    expect(await decide([false, false], true)).toBe('rollback');
  });

  it('commits what was written after it had looked first', async () => {
    expect(await decide([false, true], true)).toBe('commit');
  });
});
