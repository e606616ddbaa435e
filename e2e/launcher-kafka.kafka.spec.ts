/** The Kafka that the launcher starts: formatted once, kept over restarts, of one node or of three, each started again when it dies. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import kafkajs, { type Admin, type Kafka } from 'kafkajs';
import { freePort } from '../libs/service-kit/src/testing/free-port.js';
import { repositoryRoot } from '../libs/service-kit/src/testing/repository-root.js';
import { eventually } from './harness/client.js';

const START_MS = 90_000;
// In CI it has to be there.
const withJava =
  spawnSync('java', ['-version']).status === 0 || process.env['CI'] !== undefined ? test : test.skip;
const launcher = (name: string): string =>
  pathToFileURL(join(repositoryRoot(), 'scripts', 'launcher', `${name}.mjs`)).href;

let dir: string;
let supervisor: ChildProcess | undefined;
let ports: { port: number; controllerPort: number }[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'stampede-kafka-'));
  mkdirSync(join(dir, 'logs'));
});
afterEach(async () => {
  await stop();
  rmSync(dir, { recursive: true, force: true });
});

async function choosePorts(count: number): Promise<void> {
  ports = [];
  for (let n = 0; n < count; n++) ports.push({ port: await freePort(), controllerPort: await freePort() });
}

/** As the launcher does: prepares the nodes and keeps them running, until it gets SIGTERM. */
function start(): void {
  const program = `
    import { Supervisor } from '${launcher('processes')}';
    import { prepareKafka } from '${launcher('kafka')}';
    const supervisor = new Supervisor(${JSON.stringify(dir)}, (line) => process.stderr.write(line + '\\n'));
    const commands = prepareKafka({ dir: ${JSON.stringify(join(dir, 'kafka'))}, nodes: ${JSON.stringify(ports)}, heapMb: 384, logLevel: 'info' });
    const names = commands.map((_, at) => 'kafka-' + (at + 1));
    commands.forEach(({ program, args }, at) => supervisor.start(names[at], program, args, {}));
    process.on('SIGTERM', () => void supervisor.stop([{ names, withinMs: 20000 }]).then(() => process.exit(0)));
    setInterval(() => undefined, 60000);`;
  supervisor = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: repositoryRoot(),
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

async function stop(): Promise<void> {
  if (supervisor === undefined || supervisor.exitCode !== null) return;
  const ended = once(supervisor, 'exit');
  supervisor.kill('SIGTERM');
  await ended;
}

const pidOf = (node: string): number =>
  (JSON.parse(readFileSync(join(dir, 'pids.json'), 'utf8')) as Record<string, { pid: number }>)[node]?.pid ??
  NaN;

function client(): Kafka {
  const brokers = ports.map(({ port }) => `127.0.0.1:${port}`);
  return new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING, retry: { retries: 0 } });
}

/** Asks until the answer is there: nodes start, elect and move leaders. */
const asked = <T>(ask: (admin: Admin) => Promise<T | undefined>, what: string): Promise<T> =>
  eventually(
    async () => {
      const admin = client().admin();
      try {
        await admin.connect();
        return await ask(admin);
      } catch {
        return undefined;
      } finally {
        await admin.disconnect();
      }
    },
    START_MS,
    () => `${what}, within ${START_MS / 1000} s`,
  );

const nodesUp = (count: number): Promise<true> =>
  asked(
    async (admin) => ((await admin.describeCluster()).brokers.length === count ? true : undefined),
    `${count} nodes`,
  );

async function createTopic(replicationFactor: number): Promise<void> {
  await asked(async (admin) => {
    await admin.createTopics({ topics: [{ topic: 'kept', numPartitions: 1, replicationFactor }] });
    return true;
  }, 'the topic');
}

const send = (value: string): Promise<true> =>
  eventually(
    async () => {
      const producer = client().producer();
      try {
        await producer.connect();
        await producer.send({ topic: 'kept', acks: -1, messages: [{ value }] });
        return true as const;
      } catch {
        return undefined;
      } finally {
        await producer.disconnect();
      }
    },
    START_MS,
    () => `${value} was not taken`,
  );

const stored = (): Promise<number> =>
  asked(async (admin) => {
    const [partition] = await admin.fetchTopicOffsets('kept');
    return Number(partition?.high);
  }, 'the offsets');

withJava(
  'one node keeps what it has confirmed when it is stopped and started, and is formatted once',
  async () => {
    await choosePorts(1);
    start();
    await nodesUp(1);
    await createTopic(1);
    await send('before');
    const formattedAtMs = statSync(join(dir, 'kafka', 'data', 'meta.properties')).mtimeMs;
    expect(statSync(join(dir, 'logs', 'kafka-1.log')).isFile()).toBe(true);
    await stop();
    start();
    await nodesUp(1);
    expect(await stored()).toBe(1);
    expect(statSync(join(dir, 'kafka', 'data', 'meta.properties')).mtimeMs).toBe(formattedAtMs);
  },
  300_000,
);

withJava(
  'three nodes go on without the one that led, which is started again and comes back',
  async () => {
    await choosePorts(3);
    start();
    await nodesUp(3);
    await createTopic(3);
    await send('before');
    const leader = await asked(async (admin) => {
      const { topics } = await admin.fetchTopicMetadata({ topics: ['kept'] });
      return topics[0]?.partitions[0]?.leader;
    }, 'a leader');
    const pid = pidOf(`kafka-${leader}`);
    process.kill(pid, 'SIGKILL');
    await send('meanwhile');
    await asked(async (admin) => {
      const { topics } = await admin.fetchTopicMetadata({ topics: ['kept'] });
      return topics[0]?.partitions[0]?.isr.length === 3 ? true : undefined;
    }, 'all three in sync again');
    expect(pidOf(`kafka-${leader}`)).not.toBe(pid);
    expect(await stored()).toBeGreaterThanOrEqual(2);
  },
  300_000,
);

test('a cluster of two is refused in one line: it would not survive one', async () => {
  const args = [
    '--dir',
    dir,
    '--port',
    '1',
    '--port',
    '2',
    '--controller-port',
    '3',
    '--controller-port',
    '4',
  ];
  const child = spawn(process.execPath, [join(repositoryRoot(), 'scripts/kafka.mjs'), ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk) => (said += String(chunk)));
  await once(child, 'close');
  expect(said).toBe('A cluster of Kafka has 1 or 3 nodes, not 2.\n');
});
