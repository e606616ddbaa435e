// Apache Kafka on this machine (KRaft: each node is broker and controller), on loopback only.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchJars, requireJava, run } from './java.mjs';
import { Refusal } from './prepare.mjs';

export const KAFKA_VERSION = '4.4.0';
const CLUSTER_ID = 'stampedeKafkaOneNode-w';
/** Collector, and heap where none is asked for, as Kafka's own start script sets them. */
const JAVA_OPTIONS = ['-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20'];
const HEAP_MB = 1024;
/** Three controllers go on without one of them; two do not. */
const CLUSTER_SIZES = [1, 3];

/**
 * Makes the folders of a cluster ready, each formatted once, and answers with the commands that run its nodes, in the order of
 * their `{port, controllerPort}`. A folder that is there keeps what it holds; a cluster of three has others than a single node.
 *
 * @throws {Refusal} when Java, or Kafka and the way to it, are missing
 */
export function prepareKafka({ dir, nodes, fsync = false, heapMb = HEAP_MB, logLevel = 'error' }) {
  if (!CLUSTER_SIZES.includes(nodes.length)) {
    throw new Refusal(`A cluster of Kafka has ${CLUSTER_SIZES.join(' or ')} nodes, not ${nodes.length}.`);
  }
  requireJava(`Kafka ${KAFKA_VERSION}`);
  const jars = fetchJars('Kafka', KAFKA_VERSION, DEPENDENCIES);
  const java = ['-cp', join(jars, '*'), `-Dorg.slf4j.simpleLogger.defaultLogLevel=${logLevel}`];
  const heap = [`-Xms${heapMb}m`, `-Xmx${heapMb}m`];
  return nodes.map((_, index) => {
    const home = nodes.length === 1 ? dir : join(dir, `node-${index + 1}`);
    const settings = join(home, 'kafka.properties');
    mkdirSync(home, { recursive: true });
    writeFileSync(settings, settingsOf({ home, index, nodes, fsync }));
    if (!existsSync(join(home, 'data', 'meta.properties'))) format(java, settings);
    return { program: 'java', args: [...heap, ...JAVA_OPTIONS, ...java, 'kafka.Kafka', settings] };
  });
}

/** What a format that was cut has left is formatted anew: `meta.properties` is what it writes last. */
function format(java, settings) {
  const args = ['kafka.tools.StorageTool', 'format', '--ignore-formatted', '-t', CLUSTER_ID, '-c', settings];
  run('java', [...java, ...args], 'Kafka could not format its storage');
}

function settingsOf({ home, index, nodes, fsync }) {
  const { port, controllerPort } = nodes[index];
  const voters = nodes.map((node, at) => `${at + 1}@127.0.0.1:${node.controllerPort}`).join(',');
  // A majority of three has every message that was confirmed; one node has nobody to replicate to.
  const [replicas, inSync] = nodes.length === 1 ? [1, 1] : [3, 2];
  return `
process.roles=broker,controller
node.id=${index + 1}
controller.quorum.voters=${voters}
listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}
controller.listener.names=CONTROLLER
log.dirs=${join(home, 'data')}
auto.create.topics.enable=false
default.replication.factor=${replicas}
min.insync.replicas=${inSync}
offsets.topic.replication.factor=${replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=${replicas}
transaction.state.log.min.isr=${inSync}
# A lone consumer need not wait for others to join its group.
group.initial.rebalance.delay.ms=0
${fsync ? 'log.flush.interval.messages=1' : ''}
`;
}

// The dependencies of 4.4.0 name kafka-tools-api, which is not published; only the command-line tools use it.
const DEPENDENCIES = `
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${KAFKA_VERSION}</version>
      <exclusions>
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>kafka-tools-api</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
`;
