/** The guarantees of a transactional message, held by both implementations on a real broker, by the outbox on a real Postgres too. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { z } from 'zod';
import { EmbeddedBroker } from '#libs/broker';
import { openDatabase, PrismaOutbox, provesNothingWritten } from '#libs/service-kit';
import { PrismaClient } from '#prisma/payment';
import {
  FaultProxy,
  isCommitted,
  startPostgres,
  type TestPostgres,
} from '../../service-kit/src/testing/index.js';
import type { BrokerPort } from './broker-port.js';
import { MessageBus } from './bus.js';
import { defineEvent } from './contract.js';
import { envelope, type Envelope } from './envelope.js';
import { DomainError, MessagingError } from './errors.js';
import { OutboxRelay } from './outbox-relay.js';
import type { OutboxStore } from './outbox.js';
import { MemoryDatabase } from './testing/memory-database.js';
import { until } from './testing/until.js';

const OrderWritten = defineEvent({
  topic: 'order',
  tag: 'written',
  version: 1,
  key: (order) => order.orderNo,
  payload: z.object({ orderNo: z.string() }),
});
/** Sent after everything else; once it is there, what is not there will not come. */
const Last = { ...OrderWritten, tag: 'last', name: 'order.last' };

type Writing = (messages: readonly Envelope[], local: (tx: unknown) => Promise<void>) => Promise<void>;
/** A process that writes: `write` is the implementation's way, `kill` ends it without another word. */
type Producer = { write: Writing; kill(): Promise<void>; loseNextCommitAnswer(): void };
/** Orders, and an outbox beside them, over a connection that one process has. */
type Books = Pick<Producer, 'loseNextCommitAnswer'> & {
  /** As the relay reaches it, which loses no answers. */
  relayed: Pick<OutboxStore, 'claim'>;
  store: OutboxStore;
  cut(): Promise<void>;
};

let dir: string;
let broker: EmbeddedBroker;
/** Where the orders are: in memory, or in a table. */
let database: MemoryDatabase;
let postgres: TestPostgres;
let table: PrismaClient;
/** Whether the spec at work is one of Postgres. */
let isInTable = false;
let consumer: BrokerPort;
let delivered: string[];
const producers: Producer[] = [];
/**
 * Keys that living producers are writing. A check-back may come in the middle of a local transaction on a slow machine,
 * and the database shows nothing of one that has not committed: that is neither a commit nor a rollback.
 */
const underWay = new Set<Set<string>>();
const isUnderWay = (key = ''): boolean => [...underWay].some((mine) => mine.has(key));

/** Lets specs put a broken connection between a producer and its broker. */
type Wire = (port: BrokerPort) => BrokerPort;
const intact: Wire = (port) => port;

const implementations: Record<string, (wire: Wire) => Promise<Producer>> = {
  'half messages': async (wire) => {
    const port = wire(broker.connect('producer'));
    const bus = new MessageBus(port, { producer: 'spec' });
    const mine = new Set<string>();
    underWay.add(mine);
    await port.onCheckBack('orders', (_, messages) => {
      const isWritten = messages.every(({ key }) => key !== undefined && database.orders.has(key));
      return Promise.resolve(
        isWritten ? 'commit' : messages.some(({ key }) => isUnderWay(key)) ? 'unknown' : 'rollback',
      );
    });
    const write: Writing = async (messages, local) => {
      const keys = messages.map(({ contract, payload }) => contract.key(payload as never));
      for (const key of keys) mine.add(key);
      try {
        await bus.transactional('orders', messages, () => database.transaction(local));
      } finally {
        for (const key of keys) mine.delete(key);
      }
    };
    const kill = async (): Promise<void> => {
      underWay.delete(mine);
      await port.close();
    };
    return { write, kill, loseNextCommitAnswer: inMemory().loseNextCommitAnswer };
  },
  'an outbox': (wire) => throughOutbox(wire, inMemory()),
  'an outbox on Postgres': async (wire) => throughOutbox(wire, await onPostgres()),
};

function throughOutbox(wire: Wire, books: Books): Promise<Producer> {
  const port = wire(broker.connect('producer'));
  const bus = new MessageBus(port, { producer: 'spec', outbox: books.store, provesNothingWritten });
  const relay = new OutboxRelay({ store: books.relayed, broker: port, pollMs: () => 5 });
  relay.start();
  const kill = async (): Promise<void> => {
    await books.cut();
    await relay.stop();
    await port.close();
  };
  const write: Writing = (messages, local) => bus.transactional('orders', messages, local);
  return Promise.resolve({ write, kill, loseNextCommitAnswer: books.loseNextCommitAnswer });
}

function inMemory(): Books {
  const transaction = database.transaction.bind(database);
  const loseNextCommitAnswer = (): void => {
    database.transaction = async (...work) => {
      await transaction(...work);
      database.transaction = transaction;
      throw new Error('the connection broke');
    };
  };
  return {
    ...{ relayed: database, store: database, loseNextCommitAnswer },
    cut: () => Promise.resolve(),
  };
}

const silent = pino({ level: 'silent' });
const client = (url: string): PrismaClient =>
  openDatabase(PrismaClient, { url, schema: 'payment', logger: silent });

async function onPostgres(): Promise<Books> {
  const url = postgres.url('payment');
  const proxy = await FaultProxy.inFrontOf(url);
  const [writer, relaying] = [client(proxy.via(url)), client(url)];
  return {
    store: new PrismaOutbox(writer, 'payment'),
    relayed: new PrismaOutbox(relaying, 'payment'),
    loseNextCommitAnswer: () => void proxy.swallowAnswersAfter('COMMIT', { isComplete: isCommitted }),
    cut: async () => {
      await proxy.stop();
      await Promise.all([writer.$disconnect(), relaying.$disconnect()]);
    },
  };
}

beforeAll(async () => {
  postgres = await startPostgres();
  table = client(postgres.url('payment'));
}, 60_000);
afterAll(async () => {
  await table?.$disconnect();
  await postgres?.stop();
});

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'transactional-'));
  broker = await EmbeddedBroker.open({
    dir,
    transactions: { firstCheckMs: 50, everyMs: 50, maxChecks: 1_000 },
  });
  database = new MemoryDatabase();
  await table.inboxMessage.deleteMany();
  await table.outboxMessage.deleteMany();
  delivered = [];
  consumer = broker.connect('consumer');
  await consumer.subscribe({ group: 'spec', topics: [{ topic: 'order' }] }, async (batch) => {
    for (const each of batch) {
      delivered.push(`${each.message.tag} ${each.message.key}`);
      await each.ack();
    }
  });
});
afterEach(async () => {
  await Promise.all(producers.splice(0).map((producer) => producer.kill()));
  await consumer.close();
  await broker.close();
  await rm(dir, { recursive: true, force: true });
});

const written = (orderNo: string): Envelope[] => [envelope(OrderWritten, { orderNo })];
/** Into whichever books `tx` is of. */
const insert =
  (orderNo: string) =>
  async (tx: unknown): Promise<void> => {
    if (!isInTable) return void (tx as { orders: string[] }).orders.push(orderNo);
    const data = { group: 'orders', messageId: orderNo };
    await (tx as Pick<PrismaClient, 'inboxMessage'>).inboxMessage.create({ data });
  };
const isWritten = async (orderNo: string): Promise<boolean> =>
  isInTable
    ? (await table.inboxMessage.count({ where: { messageId: orderNo } })) > 0
    : database.orders.has(orderNo);
const arrival = (what: string): Promise<void> => until(() => delivered.includes(what), what);
const noTransactionOpen = (): Promise<void> =>
  until(async () => (await consumer.admin.transactions()).pending === 0, 'the decision');

describe.each(Object.entries(implementations))('a transactional message by %s', (name, implementation) => {
  beforeEach(() => {
    isInTable = name === 'an outbox on Postgres';
  });
  const startProducer = async (wire: Wire = intact): Promise<Producer> => {
    const producer = await implementation(wire);
    producers.push(producer);
    return producer;
  };
  /** Flushes what may still be on its way: afterwards `delivered` is complete. */
  const complete = async (producer: Producer): Promise<string[]> => {
    await noTransactionOpen();
    await producer.write([envelope(Last, { orderNo: 'end' })], insert('end'));
    await arrival('last end');
    return delivered.filter((each) => each !== 'last end');
  };

  it('arrives, once, when the local transaction commits', async () => {
    const producer = await startProducer();
    await producer.write(written('A1'), insert('A1'));
    await arrival('written A1');
    expect(await complete(producer)).toEqual(['written A1']);
  });

  it('never arrives when the local transaction fails', async () => {
    const producer = await startProducer();
    const failing = producer.write(written('A1'), () =>
      Promise.reject(new DomainError('NO_ROW', 'conflict', 'no row')),
    );
    await expect(failing).rejects.toThrow('no row');
    expect(await complete(producer)).toEqual([]);
    expect(await isWritten('A1')).toBe(false);
  });

  it('arrives when the answer to the local commit is lost; the caller is told that it is not known', async () => {
    const producer = await startProducer();
    producer.loseNextCommitAnswer();
    await expect(producer.write(written('A1'), insert('A1'))).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
    });
    await arrival('written A1');
    expect(await complete(producer)).toEqual(['written A1']);
  });

  it('does not arrive when the answer to the preparation is lost: nothing was written after it', async () => {
    const producer = await startProducer((port) => ({
      ...portOf(port),
      prepare: async (group, messages) => {
        const pending = await port.prepare(group, messages);
        if (messages[0]?.key === 'end') return pending;
        throw new MessagingError('REQUEST_TIMEOUT', 'no answer');
      },
    }));
    await producer.write(written('A1'), insert('A1')).catch(() => undefined);
    const isThere = await isWritten('A1');
    expect(await complete(producer)).toEqual(isThere ? ['written A1'] : []);
  });

  it('arrives, once, when the answer to the commit of the messages is lost', async () => {
    const producer = await startProducer((port) => ({
      ...portOf(port),
      prepare: async (group, messages) => {
        const pending = await port.prepare(group, messages);
        const commit = async (): Promise<never> => {
          await pending.commit();
          throw new MessagingError('REQUEST_TIMEOUT', 'no answer');
        };
        return { ...pending, commit };
      },
    }));
    await producer.write(written('A1'), insert('A1'));
    await arrival('written A1');
    expect(await complete(producer)).toEqual(['written A1']);
  });

  it('does not arrive before the local transaction has committed', async () => {
    const producer = await startProducer();
    await producer.write(written('A1'), async (tx) => {
      // Another message overtakes it: had it been visible, it would be there by now.
      const other = await startProducer();
      await other.write(written('A2'), insert('A2'));
      await arrival('written A2');
      expect(delivered).toEqual(['written A2']);
      await insert('A1')(tx);
    });
    await arrival('written A1');
  });

  it('arrives although the broker went away between the local commit and the send', async () => {
    let isAway = true;
    const away = (): Promise<never> => Promise.reject(new MessagingError('BROKER_UNAVAILABLE', 'gone'));
    const producer = await startProducer((port) => ({
      ...portOf(port),
      send: (messages) => (isAway ? away() : port.send(messages)),
      prepare: async (group, messages) => {
        const pending = await port.prepare(group, messages);
        return { ...pending, commit: () => (isAway ? away() : pending.commit()) };
      },
    }));
    await producer.write(written('A1'), insert('A1'));
    isAway = false;
    await arrival('written A1');
    expect(await complete(producer)).toEqual(['written A1']);
  });

  it('never arrives when the process died before the local commit, and the next one cleans up', async () => {
    const dying = await startProducer();
    let reached: () => void = () => undefined;
    const inTransaction = new Promise<void>((resolve) => (reached = resolve));
    void dying.write(written('A1'), () => {
      reached();
      return new Promise(() => undefined);
    });
    await inTransaction;
    await dying.kill();
    expect(await complete(await startProducer())).toEqual([]);
  });
});

/** A port's methods as an object of their own, so that some can be replaced. */
function portOf(port: BrokerPort): BrokerPort {
  return {
    send: (messages) => port.send(messages),
    sendOneway: (messages) => port.sendOneway(messages),
    prepare: (group, messages) => port.prepare(group, messages),
    onCheckBack: (group, check) => port.onCheckBack(group, check),
    recall: (timerId) => port.recall(timerId),
    reschedule: (timerId, deliverAtMs) => port.reschedule(timerId, deliverAtMs),
    subscribe: (subscription, handler) => port.subscribe(subscription, handler),
    pull: (subscription, options) => port.pull(subscription, options),
    admin: port.admin,
    ready: (timeoutMs) => port.ready(timeoutMs),
    close: () => port.close(),
  };
}
