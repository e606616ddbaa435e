// Makes ready a Kafka of one node (KRaft: broker and controller in one process) on loopback and prints, as
// one line of JSON `{program, args}`, the command that runs it; whoever runs it stops it with SIGTERM:
//
//   node scripts/kafka.mjs --dir DIR --port PORT --controller-port PORT [--fsync]
//   node scripts/kafka.mjs --version
//
// Needs Java 17 and, the first time, Maven and Maven Central: the broker is an ordinary Java program, whose
// jars stay in .stampede/. `--fsync` flushes every append before it is confirmed, which Kafka by itself
// leaves to the operating system (and to the replicas, of which there are none here).
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Refusal, root, runMain } from './launcher/prepare.mjs';

const VERSION = '4.4.0';
const JAVA_MAJOR = 17;
const JARS = join(root, '.stampede', `kafka-${VERSION}`);
const CLUSTER_ID = 'stampedeKafkaOneNode-w';
/** Heap and collector as Kafka's own start script sets them. */
const JAVA_OPTIONS = ['-Xms1g', '-Xmx1g', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20'];

async function main() {
  const { values } = parseArgs({
    options: {
      dir: { type: 'string' },
      port: { type: 'string' },
      'controller-port': { type: 'string' },
      fsync: { type: 'boolean', default: false },
      version: { type: 'boolean', default: false },
    },
  });
  if (values.version) return void process.stdout.write(`${VERSION}\n`);
  const { dir, port, 'controller-port': controllerPort, fsync } = values;
  if (!dir || !port || !controllerPort) {
    throw new Refusal('usage: kafka.mjs --dir DIR --port PORT --controller-port PORT [--fsync]');
  }
  requireJava();
  fetchJars();
  const settings = join(dir, 'kafka.properties');
  mkdirSync(dir, { recursive: true });
  writeFileSync(settings, settingsOf({ dir, port, controllerPort, fsync }));
  const java = ['-cp', join(JARS, '*'), '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'];
  // A folder that is formatted already is left as it is.
  const format = [
    'kafka.tools.StorageTool',
    'format',
    '--ignore-formatted',
    '-t',
    CLUSTER_ID,
    '-c',
    settings,
  ];
  run('java', [...java, ...format], 'Kafka could not format its storage');
  const command = { program: 'java', args: [...JAVA_OPTIONS, ...java, 'kafka.Kafka', settings] };
  process.stdout.write(`${JSON.stringify(command)}\n`);
}

const settingsOf = ({ dir, port, controllerPort, fsync }) => `
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controllerPort}
listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}
controller.listener.names=CONTROLLER
log.dirs=${join(dir, 'data')}
auto.create.topics.enable=false
# One node: nobody to replicate to.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
# A lone consumer need not wait for others to join its group.
group.initial.rebalance.delay.ms=0
${fsync ? 'log.flush.interval.messages=1' : ''}
`;

function requireJava() {
  const { stderr, error } = spawnSync('java', ['-version'], { encoding: 'utf8' });
  const major = Number(/version "(\d+)/.exec(stderr ?? '')?.[1]);
  if (error || !(major >= JAVA_MAJOR))
    throw new Refusal(`Kafka ${VERSION} needs Java ${JAVA_MAJOR} or newer`);
}

/** All or nothing: the folder gets its name once every jar is in it. */
function fetchJars() {
  if (existsSync(JARS)) return;
  const partial = `${JARS}.${process.pid}`;
  mkdirSync(partial, { recursive: true });
  try {
    const pom = join(partial, 'pom.xml');
    writeFileSync(pom, POM);
    const copy = ['dependency:copy-dependencies', `-DoutputDirectory=${partial}`, '-DincludeScope=runtime'];
    run('mvn', ['-q', '-B', '-f', pom, ...copy], 'Kafka cannot be had from Maven Central');
    if (!existsSync(JARS)) renameSync(partial, JARS);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

// The dependencies of 4.4.0 name kafka-tools-api, which is not published; only the command-line tools use it.
const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>stampede</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${VERSION}</version>
      <exclusions>
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>kafka-tools-api</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
`;

function run(program, args, whatFailed) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return;
  const [reason = ''] = `${error?.message ?? ''}${stderr ?? ''}${stdout ?? ''}`.trim().split('\n');
  throw new Refusal(`${whatFailed}: ${reason}`);
}

await runMain(main);
