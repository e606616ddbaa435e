import { writeFile } from 'node:fs/promises';
import { AckPolicy, StorageType, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect as connectNats } from '@nats-io/transport-node';
import { Program, findProgram, freePort } from '../processes.js';
import { CONSUMER_IN_FLIGHT } from './contender.js';
import type { BenchClient, Contender, Endpoint, OnMessage, RunningBroker } from './contender.js';

const DURABLE = 'bench';
/** JetStream tells a slow server from a lost one by this; a full queue of sends takes its time. */
const CONFIRM_MS = 30_000;

export const natsJetstream: Contender = {
  name: 'nats-jetstream',
  title: 'NATS JetStream, file',
  durability: 'written to the page cache before the confirmation, fsync every 2 min (its default)',
  equalDurability: false,
  start: startNats,
  connect: connectJetstream,
};

async function startNats(dir: string): Promise<RunningBroker> {
  const command = findProgram(['nats-server'], 'nats-server');
  const port = await freePort();
  await writeFile(
    `${dir}/nats.conf`,
    `listen: 127.0.0.1:${port}\njetstream { store_dir: "${dir}/jetstream" }\nmax_pending: 256MB\n`,
  );
  const program = Program.start(command, ['-c', `${dir}/nats.conf`]);
  await program.listening(port);
  return { endpoint: { host: '127.0.0.1', port }, pid: program.pid, stop: () => program.stop() };
}

async function connectJetstream({ host, port }: Endpoint): Promise<BenchClient> {
  const connection = await connectNats({ servers: `${host}:${port}` });
  const stream = jetstream(connection, { timeout: CONFIRM_MS });
  const manager = await jetstreamManager(connection, { timeout: CONFIRM_MS });
  return {
    async prepare(queue) {
      await manager.streams.add({ name: queue, subjects: [queue], storage: StorageType.File });
      await manager.consumers.add(queue, {
        durable_name: DURABLE,
        ack_policy: AckPolicy.Explicit,
        max_ack_pending: CONSUMER_IN_FLIGHT,
      });
    },
    send: async (queue, _key, body) =>
      void (await stream.publish(queue, Buffer.from(body, 'latin1'), { timeout: CONFIRM_MS })),
    async consume(queue, onMessage, onAcked) {
      const consumer = await stream.consumers.get(queue, DURABLE);
      const messages = await consumer.consume({ max_messages: CONSUMER_IN_FLIGHT });
      void takeAll(messages, onMessage, onAcked);
    },
    drop: async (queue) => void (await manager.streams.delete(queue)),
    close: () => connection.close(),
  };
}

async function takeAll(
  messages: AsyncIterable<{ data: Uint8Array; ack(): void }>,
  onMessage: OnMessage,
  onAcked: (messages: number) => void,
): Promise<void> {
  for await (const message of messages) {
    onMessage(message.data);
    message.ack();
    onAcked(1);
  }
}
