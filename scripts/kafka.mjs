// Makes ready a Kafka of one node (KRaft: broker and controller in one process) on loopback and prints, as
// one line of JSON `{program, args}`, the command that runs it; whoever runs it stops it with SIGTERM:
//
//   node scripts/kafka.mjs --dir DIR --port PORT --controller-port PORT [--fsync] [--heap-mb N]
//   node scripts/kafka.mjs --version
//
// Needs Java 17 and, the first time, Maven and Maven Central: the broker is an ordinary Java program, whose
// jars stay in .stampede/. `--fsync` flushes every append before it is confirmed, which Kafka by itself
// leaves to the operating system (and to the replicas, of which there are none here).
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fetchJars, requireJava, run } from './launcher/java.mjs';
import { Refusal, runMain } from './launcher/prepare.mjs';

const VERSION = '4.4.0';
const CLUSTER_ID = 'stampedeKafkaOneNode-w';
/** Collector, and heap where none is asked for, as Kafka's own start script sets them. */
const JAVA_OPTIONS = ['-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20'];
const HEAP_MB = 1024;

async function main() {
  const { values } = parseArgs({
    options: {
      dir: { type: 'string' },
      port: { type: 'string' },
      'controller-port': { type: 'string' },
      fsync: { type: 'boolean', default: false },
      'heap-mb': { type: 'string', default: String(HEAP_MB) },
      version: { type: 'boolean', default: false },
    },
  });
  if (values.version) return void process.stdout.write(`${VERSION}\n`);
  const { dir, port, 'controller-port': controllerPort, fsync, 'heap-mb': heapMb } = values;
  if (!dir || !port || !controllerPort || !/^\d+$/.test(heapMb)) {
    throw new Refusal(
      'usage: kafka.mjs --dir DIR --port PORT --controller-port PORT [--fsync] [--heap-mb N]',
    );
  }
  requireJava(`Kafka ${VERSION}`);
  const jars = fetchJars('Kafka', VERSION, DEPENDENCIES);
  const settings = join(dir, 'kafka.properties');
  mkdirSync(dir, { recursive: true });
  writeFileSync(settings, settingsOf({ dir, port, controllerPort, fsync }));
  const java = ['-cp', join(jars, '*'), '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'];
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
  const heap = [`-Xms${heapMb}m`, `-Xmx${heapMb}m`];
  const command = { program: 'java', args: [...heap, ...JAVA_OPTIONS, ...java, 'kafka.Kafka', settings] };
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

// The dependencies of 4.4.0 name kafka-tools-api, which is not published; only the command-line tools use it.
const DEPENDENCIES = `
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${VERSION}</version>
      <exclusions>
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>kafka-tools-api</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
`;

await runMain(main);
