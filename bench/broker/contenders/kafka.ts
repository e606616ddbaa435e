import kafkajs from 'kafkajs';
import type { Message, Producer } from 'kafkajs';
import { Program, freePort, runScript } from '../processes.js';
import type { BenchClient, Contender, Endpoint, OnMessage, RunningBroker } from './contender.js';

// A CommonJS package: its names are on the default import.
const { CompressionTypes, Kafka, Partitioners, logLevel } = kafkajs;

/** As ours. */
const PARTITIONS = 4;
/** `max.in.flight.requests.per.connection` of Kafka's own producer. */
const REQUESTS_IN_FLIGHT = 5;
/** `max.request.size` of Kafka's own producer is 1 MiB, as the largest batch that the server takes; with room for keys and headers. */
const MAX_REQUEST_BODY_BYTES = 768 * 1024;
const ALL_REPLICAS = -1;

/** Kafka as strict as the others: by itself it confirms what is in the page cache. */
export const kafkaFsync: Contender = {
  name: 'kafka',
  title: 'Kafka, fsync each append',
  durability:
    'acks=all, log.flush.interval.messages=1: fsync of each append before the confirmation; one node',
  equalDurability: true,
  start: (dir) => startKafka(dir, ['--fsync']),
  connect: connectKafka,
};

/** As most run it, though with replicas instead of fsync, which one node does not have. */
export const kafkaPageCache: Contender = {
  ...kafkaFsync,
  name: 'kafka-page-cache',
  title: 'Kafka, page cache',
  durability: 'acks=all on one node: written to the page cache before the confirmation (its default)',
  equalDurability: false,
  start: (dir) => startKafka(dir, []),
};

async function startKafka(dir: string, flags: readonly string[]): Promise<RunningBroker> {
  const [port, controllerPort] = [await freePort(), await freePort()];
  const ports = ['--port', String(port), '--controller-port', String(controllerPort)];
  const command = await runScript('kafka', ['--dir', dir, ...ports, ...flags]);
  const { program, args } = JSON.parse(command) as { program: string; args: string[] };
  const kafka = Program.start(program, args);
  await kafka.listening(port).catch(async (error: unknown) => {
    await kafka.stop('SIGKILL');
    throw error;
  });
  return { endpoint: { host: '127.0.0.1', port }, pid: kafka.pid, stop: () => kafka.stop() };
}

async function connectKafka({ host, port }: Endpoint): Promise<BenchClient> {
  const kafka = new Kafka({ brokers: [`${host}:${port}`], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  const closing: (() => Promise<void>)[] = [() => admin.disconnect(), () => producer.disconnect()];
  await Promise.all([admin.connect(), producer.connect()]);
  const senders = new Map<string, GatheringSender>();
  return {
    prepare: async (queue) =>
      void (await admin.createTopics({
        topics: [{ topic: queue, numPartitions: PARTITIONS, replicationFactor: 1 }],
        waitForLeaders: true,
      })),
    send(queue, key, body) {
      let sender = senders.get(queue);
      if (sender === undefined) senders.set(queue, (sender = new GatheringSender(producer, queue)));
      return sender.send({ key, value: Buffer.from(body, 'latin1') });
    },
    async consume(queue, onMessage, onAcked) {
      closing.push(await startConsumer(kafka, queue, onMessage, onAcked));
    },
    drop: (queue) => admin.deleteTopics({ topics: [queue] }),
    async close() {
      for (const close of closing.reverse()) await close();
    },
  };
}

/**
 * kafkajs sends a request per call, and Kafka answers the requests of a connection one after the other. So
 * calls are gathered as Kafka's own producer does it: into one request of all that was called while the
 * allowed number of requests is under way.
 */
class GatheringSender {
  private waiting: { message: Message; resolve: () => void; reject: (error: unknown) => void }[] = [];
  private requests = 0;
  private scheduled = false;

  constructor(
    private readonly producer: Producer,
    private readonly topic: string,
  ) {}

  send(message: Message): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ message, resolve, reject });
      this.schedule();
    });
  }

  /** After this tick, so that all its calls share a request. */
  private schedule(): void {
    if (this.scheduled || this.waiting.length === 0 || this.requests === REQUESTS_IN_FLIGHT) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      void this.sendGathered();
    });
  }

  /** How many of the waiting calls go into one request. */
  private fitting(): number {
    let bytes = 0;
    const beyond = this.waiting.findIndex(({ message: { value } }) => {
      bytes += value?.length ?? 0;
      return bytes > MAX_REQUEST_BODY_BYTES;
    });
    return beyond < 0 ? this.waiting.length : Math.max(1, beyond);
  }

  private async sendGathered(): Promise<void> {
    const calls = this.waiting.splice(0, this.fitting());
    this.requests += 1;
    this.schedule();
    try {
      await this.producer.send({
        topic: this.topic,
        messages: calls.map(({ message }) => message),
        acks: ALL_REPLICAS,
        compression: CompressionTypes.None,
      });
      for (const { resolve } of calls) resolve();
    } catch (error) {
      for (const { reject } of calls) reject(error);
    } finally {
      this.requests -= 1;
      this.schedule();
    }
  }
}

/** Resolves when the group has its partitions, with what ends it. */
async function startConsumer(
  kafka: InstanceType<typeof Kafka>,
  topic: string,
  onMessage: OnMessage,
  onAcked: (messages: number) => void,
): Promise<() => Promise<void>> {
  const consumer = kafka.consumer({ groupId: `${topic}-group` });
  const joined = new Promise<void>((resolve) => consumer.on(consumer.events.GROUP_JOIN, () => resolve()));
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    partitionsConsumedConcurrently: PARTITIONS,
    async eachBatch({ batch }) {
      for (const { value } of batch.messages) onMessage(value ?? Buffer.alloc(0));
      // Kafka acknowledges by offset: one commit stands for every message up to it.
      const offset = String(BigInt(batch.lastOffset()) + 1n);
      await consumer.commitOffsets([{ topic, partition: batch.partition, offset }]);
      onAcked(batch.messages.length);
    },
  });
  await joined;
  return () => consumer.disconnect();
}
