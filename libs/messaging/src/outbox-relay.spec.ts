import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { MessageBus } from './bus.js';
import { defineEvent } from './contract.js';
import { envelope } from './envelope.js';
import { MessagingError, type MessagingErrorCode } from './errors.js';
import type { OutgoingMessage, SendReceipt } from './message.js';
import { OutboxRelay } from './outbox-relay.js';
import type { OutboxStore, Settlement } from './outbox.js';
import { FakeBroker } from './testing/fake-broker.js';
import { MemoryDatabase } from './testing/memory-database.js';
import { until } from './testing/until.js';

const Written = defineEvent({
  topic: 'order',
  tag: 'written',
  version: 1,
  key: ({ key }) => key,
  payload: z.object({ key: z.string(), n: z.number() }),
});

const clock = { nowMs: 0, now: () => clock.nowMs };

/** Each message as its key and a number: `a1`. */
async function write(outbox: MemoryDatabase, ...names: string[]): Promise<void> {
  const bus = new MessageBus(new FakeBroker(), { producer: 'spec', outbox });
  const envelopes = names.map((name) => envelope(Written, { key: name[0] ?? '', n: Number(name.slice(1)) }));
  await bus.transactional('spec', envelopes, () => Promise.resolve());
}

const nameOf = ({ body }: OutgoingMessage): string => {
  const { key, n } = JSON.parse(Buffer.from(body).toString()) as { key: string; n: number };
  return `${key}${n}`;
};
const names = (broker: FakeBroker): string[] => broker.sent.map(nameOf);

/** Refuses some messages for as long as the spec wants, and every call that one of them is in. */
class PickyBroker extends FakeBroker {
  readonly refused = new Map<string, MessagingErrorCode | Error>();
  calls = 0;

  override send(messages: readonly OutgoingMessage[]): Promise<SendReceipt[]> {
    this.calls += 1;
    for (const message of messages) {
      const why = this.refused.get(nameOf(message));
      if (why !== undefined) {
        return Promise.reject(typeof why === 'string' ? new MessagingError(why, 'no') : why);
      }
    }
    return super.send(messages);
  }
}

function stage(): { outbox: MemoryDatabase; broker: PickyBroker; relay: OutboxRelay; settled: Settlement[] } {
  const [outbox, broker, settled] = [new MemoryDatabase(clock), new PickyBroker(), [] as Settlement[]];
  const relay = new OutboxRelay({ store: outbox, broker, settled: (each) => void settled.push(each) });
  return { outbox, broker, relay, settled };
}

describe('the outbox relay', () => {
  it('sends committed rows in their order, in bounded batches, and each once', async () => {
    const { outbox, broker } = stage();
    await write(outbox, 'a1', 'b1', 'a2');
    const relay = new OutboxRelay({ store: outbox, broker, maxBatchMessages: 2 });
    expect([await relay.relayOnce(), await relay.relayOnce(), await relay.relayOnce()]).toEqual([2, 1, 0]);
    expect(names(broker)).toEqual(['a1', 'b1', 'a2']);
  });

  it('keeps a row whose message is not known to be on disk', async () => {
    const { outbox, broker, relay } = stage();
    await write(outbox, 'a1');
    broker.status = 'FLUSH_TIMEOUT';
    await expect(relay.relayOnce()).rejects.toMatchObject({ code: 'FLUSH_TIMEOUT' });
    broker.status = 'SEND_OK';
    expect(await relay.relayOnce()).toBe(1);
  });

  it('repeats the message id when it died between send and delete', async () => {
    const { outbox, broker, relay } = stage();
    await write(outbox, 'a1');
    const claim: OutboxStore['claim'] = (bounds, send) =>
      outbox.claim(bounds, async (claimed) => {
        await send(claimed);
        throw new Error('died');
      });
    await expect(new OutboxRelay({ store: { claim }, broker }).relayOnce()).rejects.toThrow('died');
    await relay.relayOnce();
    const [first, second] = broker.sent.map(({ id }) => id);
    expect(first).toBeDefined();
    expect(second).toBe(first);
  });

  it('goes on after a failed send, without overtaking it', async () => {
    const { outbox, broker } = stage();
    await write(outbox, 'a1', 'a2');
    let failures = 2;
    const send: FakeBroker['send'] = (messages) =>
      failures-- > 0
        ? Promise.reject(new MessagingError('BROKER_UNAVAILABLE', 'away'))
        : broker.send(messages);
    const relay = new OutboxRelay({ store: outbox, broker: { send }, maxBatchMessages: 1 });
    relay.start();
    await until(() => broker.sent.length === 2, 'both rows');
    await relay.stop();
    expect(names(broker)).toEqual(['a1', 'a2']);
  });

  it('sends what is left before it stops, without waiting for its pause, and can be started again', async () => {
    const { outbox, broker } = stage();
    const relay = new OutboxRelay({
      ...{ store: outbox, broker, maxBatchMessages: 1, pollMs: () => 60_000 },
    });
    await write(outbox, 'a1', 'a2', 'a3');
    relay.start();
    await relay.stop();
    expect(names(broker)).toEqual(['a1', 'a2', 'a3']);
    await write(outbox, 'a4');
    relay.start();
    await until(() => broker.sent.length === 4, 'the row');
    await relay.stop();
  });

  it('stops in time although the broker does not answer', async () => {
    const { outbox } = stage();
    await write(outbox, 'a1');
    const send = (): Promise<never> => new Promise(() => undefined);
    const relay = new OutboxRelay({ store: outbox, broker: { send }, sendDeadlineMs: 60_000 });
    relay.start();
    await expect(relay.stop(20)).resolves.toBeUndefined();
  });

  it('is woken from its pause, also by what was written while it was at work', async () => {
    const { outbox, broker } = stage();
    const relay = new OutboxRelay({ store: outbox, broker, pollMs: () => 60_000 });
    const claim = outbox.claim.bind(outbox);
    outbox.claim = async (bounds, send) => {
      const claimed = await claim(bounds, send);
      if (broker.sent.length === 0) {
        await write(outbox, 'a1');
        relay.wake();
      }
      return claimed;
    };
    relay.start();
    await until(() => broker.sent.length === 1, 'what was written meanwhile');
    outbox.claim = claim;
    await write(outbox, 'a2');
    relay.wake();
    await until(() => broker.sent.length === 2, 'what was written in the pause');
    await relay.stop();
  });

  it('gives up a claim whose answer is late, and sends nothing else before that has come', async () => {
    const { outbox, broker } = stage();
    await write(outbox, 'a1');
    let answer: () => void = () => undefined;
    const send: FakeBroker['send'] = async (messages) => {
      const receipts = await broker.send(messages);
      if (broker.sent.length === 1) await new Promise<void>((resolve) => (answer = resolve));
      return receipts;
    };
    const relay = new OutboxRelay({ store: outbox, broker: { send }, sendDeadlineMs: 5 });
    await expect(relay.relayOnce()).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT' });
    const next = relay.relayOnce();
    await new Promise(setImmediate);
    expect(broker.sent).toHaveLength(1);
    answer();
    await next;
    expect(broker.sent).toHaveLength(2);
  });
});

describe('a message of the outbox that the broker refuses', () => {
  it.each<MessagingErrorCode>(['MESSAGE_TOO_LARGE', 'INVALID_ARGUMENT'])(
    'for good (%s) is a dead letter with its cause, and those behind it go on',
    async (code) => {
      const { outbox, broker, relay, settled } = stage();
      broker.refused.set('a1', code);
      await write(outbox, 'a1', 'b1', 'a2');
      await relay.relayOnce();
      expect(names(broker).sort()).toEqual(['a2', 'b1']);
      expect(outbox.rows).toEqual([{ key: 'a', deadBecause: `MessagingError: ${code}: no` }]);
      expect(settled).toMatchObject([{ sent: { length: 2 }, refused: [{ refusals: 1 }] }]);
    },
  );

  it.each<[string, MessagingErrorCode | Error]>([
    ['a topic that is not there', 'UNKNOWN_TOPIC'],
    ['what nobody knows', new TypeError('odd')],
  ])('for %s holds up its own key only, and is a dead letter after ten times', async (_, why) => {
    const { outbox, broker, relay } = stage();
    broker.refused.set('a1', why);
    await write(outbox, 'a1', 'a2', 'b1');
    for (let time = 1; time <= 10; time++) {
      expect(outbox.rows.filter(({ deadBecause }) => deadBecause !== undefined)).toEqual([]);
      expect(names(broker)).not.toContain('a2');
      await relay.relayOnce();
      clock.nowMs += 30_000;
    }
    expect(names(broker)).toEqual(['b1', 'a2']);
    expect(outbox.rows).toHaveLength(1);
  });

  it('because its topic is full waits for as long as that lasts, in its order, and is not tried again at once', async () => {
    const { outbox, broker, relay } = stage();
    for (const name of ['a1', 'b1']) broker.refused.set(name, 'QUEUE_FULL');
    await write(outbox, 'a1', 'a2', 'b1');
    for (let time = 1; time <= 20; time++) {
      await relay.relayOnce();
      clock.nowMs += 5_000;
    }
    const { calls } = broker;
    clock.nowMs -= 1;
    expect(await relay.relayOnce()).toBe(0);
    expect(broker.calls).toBe(calls);
    broker.refused.clear();
    clock.nowMs += 1;
    await relay.relayOnce();
    expect(names(broker).filter((name) => name.startsWith('a'))).toEqual(['a1', 'a2']);
    expect(outbox.rows).toEqual([]);
  });

  it('is told apart from a broker that is away, which is nobody’s refusal', async () => {
    const { outbox, broker, relay } = stage();
    await write(outbox, 'a1', 'b1');
    for (const code of ['BROKER_UNAVAILABLE', 'AUTHENTICATION_FAILED', 'STORAGE_FAILED'] as const) {
      broker.refused.set('a1', code);
      for (let time = 1; time <= 12; time++) await expect(relay.relayOnce()).rejects.toMatchObject({ code });
    }
    broker.refused.clear();
    await relay.relayOnce();
    expect(names(broker)).toEqual(['a1', 'b1']);
  });

  it('keeps what was sent beside it when the broker goes away in the middle', async () => {
    const { outbox, broker, relay } = stage();
    broker.refused.set('a1', 'MESSAGE_TOO_LARGE').set('c1', 'BROKER_UNAVAILABLE');
    await write(outbox, 'a1', 'b1', 'c1');
    await relay.relayOnce();
    expect(outbox.rows.map(({ key }) => key)).toEqual(['a', 'c']);
    expect(names(broker)).toEqual(['b1']);
  });
});

describe('what can never be sent is refused before anything is written', () => {
  const transactional = (payload: { key: string; n: number }): Promise<void> => {
    const bus = new MessageBus(new FakeBroker(), {
      ...{ producer: 'spec', validate: false, outbox: new MemoryDatabase() },
    });
    return bus.transactional('spec', [envelope(Written, payload)], () => {
      throw new Error('it was written');
    });
  };

  it('because no consumer could parse it, in production too', async () => {
    const wrong = transactional({ key: 'a', n: 'one' as unknown as number });
    await expect(wrong).rejects.toMatchObject({ code: 'INVALID_PAYLOAD' });
  });

  it('because it is larger than any broker takes', async () => {
    const large = transactional({ key: 'a'.repeat(1024 * 1024), n: 1 });
    await expect(large).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' });
  });
});
