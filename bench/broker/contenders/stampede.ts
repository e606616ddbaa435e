import { fileURLToPath } from 'node:url';
import { connectBroker } from '#libs/broker';
import { Program, freePort } from '../processes.js';
import { CONSUMER_IN_FLIGHT } from './contender.js';
import type { BenchClient, Contender, Endpoint, RunningBroker } from './contender.js';

const TOKEN = 'bench-token-that-is-long-enough';
const PARTITIONS = 4;
const READY_MS = 120_000;
/** Messages that a handler gets at most in one call; Kafka's gets what a fetch brought, Redis' what `COUNT` says. */
const BATCH_MESSAGES = 512;

export const stampede: Contender = {
  name: 'stampede',
  title: 'Stampede broker',
  durability: 'fsync before the confirmation, grouped',
  equalDurability: true,
  start: (dir) => startStampede(dir),
  connect: (endpoint) => connectStampede(endpoint, BATCH_MESSAGES),
};

/** For those whose handlers take a message at a time, as RabbitMQ's, NATS' and BullMQ's do. */
export const stampedeOneByOne: Contender = {
  ...stampede,
  name: 'stampede-one-by-one',
  title: 'Stampede broker, a message a call',
  onlyIn: ['consume'],
  connect: (endpoint) => connectStampede(endpoint, 1),
};

/** The broker as it is shipped: `apps/broker`, in a process of its own. */
export async function startStampede(
  dir: string,
  nodeArgs: readonly string[] = serverArgs(),
): Promise<RunningBroker & { program: Program }> {
  const port = await freePort();
  const program = Program.start(process.execPath, [...nodeArgs, pathOf('../../../apps/broker/src/main')], {
    env: {
      ...process.env,
      BROKER_DIR: `${dir}/broker`,
      BROKER_TOKEN: TOKEN,
      BROKER_PORT: String(port),
      HOST: '127.0.0.1',
      PORT: '0',
      LOG_LEVEL: 'warn',
    },
  });
  await program.listening(port);
  return {
    endpoint: { host: '127.0.0.1', port, token: TOKEN },
    pid: program.pid,
    program,
    stop: () => program.stop(),
  };
}

/** `BENCH_SERVER_ARGS="--cpu-prof --cpu-prof-dir=/tmp/p"` profiles the broker. */
const serverArgs = (): string[] => (process.env['BENCH_SERVER_ARGS'] ?? '').split(' ').filter(Boolean);

export const urlOf = ({ host, port }: Endpoint): string => `tcp://${host}:${port}`;

async function connectStampede(endpoint: Endpoint, maxBatchMessages: number): Promise<BenchClient> {
  const port = connectBroker({
    url: urlOf(endpoint),
    token: endpoint.token ?? '',
    clientName: `bench-${process.pid}`,
  });
  await port.ready(READY_MS);
  return {
    prepare: (queue) => port.admin.createTopic(queue, { partitions: PARTITIONS, flush: 'sync' }),
    async send(queue, key, body) {
      await port.send([{ topic: queue, tag: 'sent', key, body: Buffer.from(body, 'latin1') }]);
    },
    async consume(queue, onMessage, onAcked) {
      await port.subscribe(
        {
          group: `${queue}-group`,
          topics: [{ topic: queue }],
          maxInFlightMessages: CONSUMER_IN_FLIGHT,
          maxBatchMessages,
        },
        async (batch) => {
          for (const { message } of batch) onMessage(message.body);
          if (batch.length === 1) await batch[0]?.ack();
          else await Promise.all(batch.map((delivery) => delivery.ack()));
          onAcked(batch.length);
        },
      );
    },
    // Retention by age and size frees a topic's space; there is no deletion.
    drop: () => Promise.resolve(),
    close: () => port.close(),
  };
}

export function pathOf(path: string, from = import.meta.url): string {
  return fileURLToPath(new URL(`${path}.${from.endsWith('.ts') ? 'ts' : 'js'}`, from));
}
