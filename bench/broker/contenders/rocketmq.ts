import { Producer, SimpleConsumer } from 'rocketmq-client-nodejs';
import { Program, freePort, runScript } from '../processes.js';
import type { BenchClient, Contender, Endpoint, OnMessage, RunningBroker } from './contender.js';

/** As our partitions. */
const QUEUES = 4;
const GROUP = 'bench';
/** What the broker gives at most for one request. */
const RECEIVE_MESSAGES = 32;
/** Requests for messages under way. The messages under way are so 512: more make its client no faster. */
const RECEIVERS = 16;
/** For so long a message is nobody else's: longer than any run. */
const INVISIBLE_MS = 600_000;
/** The client sends again what is not confirmed by then; a full queue of sends takes its time. */
const CONFIRM_MS = 60_000;
const ignore = (): void => undefined;
/** Without one, the client writes a file of logs into the user's home. */
const NO_LOG = { info: ignore, warn: ignore, error: ignore };

export const rocketmqSyncFlush: Contender = {
  name: 'rocketmq',
  title: 'RocketMQ, sync flush',
  durability: 'flushDiskType=SYNC_FLUSH: fsync before the confirmation, grouped; one node',
  equalDurability: true,
  start: (dir) => startRocketmq(dir, ['--fsync']),
  connect: connectRocketmq,
};

/** As it comes, though with replicas instead of fsync, which one node does not have. */
export const rocketmqPageCache: Contender = {
  ...rocketmqSyncFlush,
  name: 'rocketmq-page-cache',
  title: 'RocketMQ, page cache',
  durability:
    'flushDiskType=ASYNC_FLUSH on one node: written to the page cache before the confirmation (its default)',
  equalDurability: false,
  start: (dir) => startRocketmq(dir, []),
};

type Command = { program: string; args: string[] };

async function startRocketmq(dir: string, flags: readonly string[]): Promise<RunningBroker> {
  const [port, namesPort, adminPort] = [await freePort(), await freePort(), await freePort()];
  const ports = { '--port': port, '--names-port': namesPort, '--broker-port': adminPort };
  const options = [...Object.entries(ports).flat().map(String), '--ha-port', String(await freePort())];
  const commands = await runScript('rocketmq', ['--dir', dir, ...options, ...flags]);
  const { nameServer, broker, env } = JSON.parse(commands) as {
    nameServer: Command;
    broker: Command;
    env: Record<string, string>;
  };
  const programs: Program[] = [];
  const stop = async (): Promise<void> => {
    for (const program of programs.reverse()) await program.stop();
  };
  const start = async ({ program, args }: Command, listensOn: number): Promise<Program> => {
    const started = Program.start(program, args, { env: { ...process.env, ...env } });
    programs.push(started);
    await started.listening(listensOn);
    return started;
  };
  try {
    await start(nameServer, namesPort);
    const { pid } = await start(broker, port);
    await administer(adminPort, ['updateSubGroup', '-g', GROUP]);
    return { endpoint: { host: '127.0.0.1', port, adminPort }, pid, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const administer = (adminPort: number | undefined, command: readonly string[]): Promise<string> =>
  runScript('rocketmq', ['--broker-port', String(adminPort), '--', ...command]);

function connectRocketmq({ host, port, adminPort }: Endpoint): Promise<BenchClient> {
  const options = {
    endpoints: `${host}:${port}`,
    namespace: '',
    logger: NO_LOG,
    requestTimeout: CONFIRM_MS,
  };
  const closing: (() => Promise<void>)[] = [];
  let producer: Promise<Producer> | undefined;
  const startProducer = async (queue: string): Promise<Producer> => {
    const started = new Producer({ ...options, topic: queue });
    await started.startup();
    closing.push(() => started.shutdown());
    return started;
  };
  return Promise.resolve({
    prepare: async (queue) => {
      const queues = ['-r', String(QUEUES), '-w', String(QUEUES)];
      await administer(adminPort, ['updateTopic', '-t', queue, ...queues, '-a', '+message.type=NORMAL']);
    },
    async send(queue, key, body) {
      producer ??= startProducer(queue);
      await (await producer).send({ topic: queue, keys: [key], body: Buffer.from(body, 'latin1') });
    },
    async consume(queue, onMessage, onAcked) {
      closing.push(await startConsumer(options, queue, onMessage, onAcked));
    },
    // Retention by age and size frees its log; a topic that is deleted leaves its messages there.
    drop: () => Promise.resolve(),
    async close() {
      for (const close of closing) await close();
    },
  });
}

/** Resolves when it is known to the broker, with what ends it. */
async function startConsumer(
  options: Omit<ConstructorParameters<typeof SimpleConsumer>[0], 'consumerGroup' | 'subscriptions'>,
  queue: string,
  onMessage: OnMessage,
  onAcked: (messages: number) => void,
): Promise<() => Promise<void>> {
  const subscriptions = new Map([[queue, '*']]);
  const consumer = new SimpleConsumer({ ...options, consumerGroup: GROUP, subscriptions });
  await consumer.startup();
  let open = true;
  const receiveAll = async (): Promise<void> => {
    while (open) {
      const messages = await consumer.receive(RECEIVE_MESSAGES, INVISIBLE_MS).catch((error: unknown) => {
        if (open) throw error;
        return [];
      });
      for (const { body } of messages) onMessage(body);
      // Its requests take one acknowledgement each.
      await Promise.all(messages.map((message) => consumer.ack(message).then(() => onAcked(1))));
    }
  };
  for (let receiver = 0; receiver < RECEIVERS; receiver++) void receiveAll();
  return () => {
    open = false;
    return consumer.shutdown();
  };
}
