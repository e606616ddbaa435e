/**
 * A process that writes events with their rows and relays them, made to be killed. For each key of `KEYS` it goes on after the
 * last event that the database has, up to `EVENTS`, and ends once its outbox is empty.
 */
import { pino } from 'pino';
import { connectBroker } from '#libs/broker';
import { envelope, MessageBus, OutboxRelay } from '#libs/messaging';
import { openDatabase, PrismaOutbox, provesNothingWritten } from '#libs/service-kit';
import { PrismaClient } from '#prisma/payment';
import { EventWritten, KEYS, rowOf } from './events.js';

const env = (name: string): string => process.env[name] ?? '';
const logger = pino({ level: 'warn' }, process.stderr);
const open = (url: string): PrismaClient => openDatabase(PrismaClient, { url, schema: 'payment', logger });

// Two ways to the database, so that a fault can be put into one of them.
const [writing, relaying] = [open(env('WRITER_DATABASE_URL')), open(env('RELAY_DATABASE_URL'))];
const broker = connectBroker({ url: env('BROKER_URL'), token: env('BROKER_TOKEN'), clientName: 'writer' });
const outbox = new PrismaOutbox(writing, 'payment');
const bus = new MessageBus(broker, { producer: 'spec', outbox, provesNothingWritten, logger });
const relay = new OutboxRelay({
  ...{ store: new PrismaOutbox(relaying, 'payment'), broker, logger },
  maxBatchMessages: 4,
  pollMs: () => 10,
});

async function write(key: string): Promise<void> {
  const group = `events of ${key}`;
  for (
    let n = (await writing.inboxMessage.count({ where: { group } })) + 1;
    n <= Number(env('EVENTS'));
    n++
  ) {
    await bus.transactional('spec', [envelope(EventWritten, { key, n })], async (tx?: typeof writing) => {
      await (tx ?? writing).inboxMessage.create({ data: { group, messageId: rowOf(key, n) } });
    });
  }
}

await broker.ready();
relay.start();
for (const key of KEYS) await write(key);
while ((await writing.outboxMessage.count()) > 0) await new Promise((resolve) => setTimeout(resolve, 5));
process.exit(0);
