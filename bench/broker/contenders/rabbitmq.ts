import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { connect as connectAmqp } from 'amqplib';
import { Program, findProgram, freePort } from '../processes.js';
import { CONSUMER_IN_FLIGHT } from './contender.js';
import type { BenchClient, Contender, Endpoint, RunningBroker } from './contender.js';

/** The server itself; the one on the PATH of Debian changes to another user first. */
const DEBIAN_SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server';

export const rabbitmq: Contender = {
  name: 'rabbitmq',
  title: 'RabbitMQ quorum queue',
  durability: 'fsync of the Raft log before the confirmation, grouped; one node',
  equalDurability: true,
  start: startRabbitmq,
  connect: connectRabbitmq,
};

async function startRabbitmq(dir: string): Promise<RunningBroker> {
  const command = existsSync(DEBIAN_SERVER)
    ? DEBIAN_SERVER
    : findProgram(['rabbitmq-server'], 'rabbitmq-server');
  const [port, distributionPort, epmdPort] = [await freePort(), await freePort(), await freePort()];
  // Started here, since a node that finds none leaves one running behind.
  const epmd = Program.start(findProgram(['epmd'], 'erlang-base'), [
    ...['-port', String(epmdPort), '-address', '127.0.0.1'],
  ]);
  try {
    await epmd.listening(epmdPort);
    await writeFile(`${dir}/rabbitmq.conf`, `listeners.tcp.1 = 127.0.0.1:${port}\n`);
    await writeFile(`${dir}/enabled_plugins`, '[].\n');
    const node = Program.start(command, [], {
      env: {
        ...process.env,
        HOME: dir,
        // The process is then the node itself, which stops in order on SIGTERM.
        RUNNING_UNDER_SYSTEMD: 'true',
        ERL_EPMD_PORT: String(epmdPort),
        ERL_EPMD_ADDRESS: '127.0.0.1',
        RABBITMQ_NODENAME: `bench${port}@localhost`,
        RABBITMQ_DIST_PORT: String(distributionPort),
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
        RABBITMQ_MNESIA_BASE: `${dir}/mnesia`,
        RABBITMQ_LOG_BASE: `${dir}/log`,
        RABBITMQ_CONFIG_FILE: `${dir}/rabbitmq.conf`,
        RABBITMQ_ENABLED_PLUGINS_FILE: `${dir}/enabled_plugins`,
        RABBITMQ_PID_FILE: `${dir}/pid`,
      },
    });
    const stop = async (): Promise<void> => {
      await node.stop();
      await epmd.stop('SIGKILL');
    };
    await node.listening(port).catch(async (error: unknown) => {
      await stop();
      throw error;
    });
    return { endpoint: { host: '127.0.0.1', port }, pid: node.pid, stop };
  } catch (error) {
    await epmd.stop('SIGKILL');
    throw error;
  }
}

async function connectRabbitmq({ host, port }: Endpoint): Promise<BenchClient> {
  const connection = await connectAmqp(`amqp://guest:guest@${host}:${port}`, { noDelay: true });
  const channel = await connection.createConfirmChannel();
  return {
    prepare: async (queue) =>
      void (await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })),
    send: (queue, key, body) =>
      new Promise((resolve, reject) => {
        channel.sendToQueue(
          queue,
          Buffer.from(body, 'latin1'),
          { persistent: true, messageId: key },
          (error: Error | null) => (error === null ? resolve() : reject(error)),
        );
      }),
    async consume(queue, onMessage, onAcked) {
      // Its prefetch is a u16 and, for quorum queues, best kept at a few thousand.
      await channel.prefetch(Math.min(CONSUMER_IN_FLIGHT, 2_000));
      await channel.consume(queue, (message) => {
        if (message === null) return;
        onMessage(message.content);
        channel.ack(message);
        onAcked(1);
      });
    },
    drop: async (queue) => void (await channel.deleteQueue(queue)),
    async close() {
      await channel.close();
      await connection.close();
    },
  };
}
