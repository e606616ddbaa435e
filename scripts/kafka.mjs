// Makes ready a Kafka of one node or three (KRaft: broker and controller in one process) on loopback and prints, as
// one line of JSON `{program, args}` for each node, the command that runs it; whoever runs it stops it with SIGTERM:
//
//   node scripts/kafka.mjs --dir DIR --port PORT --controller-port PORT [--fsync] [--heap-mb N]
//   node scripts/kafka.mjs --dir DIR --port P1 --port P2 --port P3 --controller-port C1 …
//   node scripts/kafka.mjs --version
//
// Needs Java 17 and, the first time, Maven and Maven Central: the broker is an ordinary Java program, whose
// jars stay in .stampede/. `--fsync` flushes every append before it is confirmed, which Kafka by itself
// leaves to the operating system and to the replicas.
import { parseArgs } from 'node:util';
import { KAFKA_VERSION, prepareKafka } from './launcher/kafka.mjs';
import { Refusal, runMain } from './launcher/prepare.mjs';

async function main() {
  const { values } = parseArgs({
    options: {
      dir: { type: 'string' },
      port: { type: 'string', multiple: true, default: [] },
      'controller-port': { type: 'string', multiple: true, default: [] },
      fsync: { type: 'boolean', default: false },
      'heap-mb': { type: 'string' },
      version: { type: 'boolean', default: false },
    },
  });
  if (values.version) return void process.stdout.write(`${KAFKA_VERSION}\n`);
  const { dir, port: ports, 'controller-port': controllerPorts, fsync, 'heap-mb': heapMb } = values;
  if (!dir || ports.length === 0 || ports.length !== controllerPorts.length || !/^\d+$/.test(heapMb ?? '1')) {
    throw new Refusal(
      'usage: kafka.mjs --dir DIR --port PORT --controller-port PORT [--fsync] [--heap-mb N], both ports for each node',
    );
  }
  const nodes = ports.map((port, at) => ({ port, controllerPort: controllerPorts[at] }));
  for (const command of prepareKafka({ dir, nodes, fsync, heapMb })) {
    process.stdout.write(`${JSON.stringify(command)}\n`);
  }
}

await runMain(main);
