// Makes ready a RocketMQ 5 of one node (a name server; a proxy with the broker in its process) and prints, as one line of
// JSON `{nameServer: {program, args}, broker: {program, args}, env}`, the commands that run it; whoever runs them stops both
// with SIGTERM, the broker first:
//
//   node scripts/rocketmq.mjs --dir DIR --port PORT --names-port PORT --broker-port PORT --ha-port PORT [--fsync]
//   node scripts/rocketmq.mjs --broker-port PORT -- COMMAND…    (of RocketMQ's mqadmin)
//   node scripts/rocketmq.mjs --version
//
// Clients talk to `--port`. Settings, data and logs are in DIR. The name server and the broker listen on loopback; the
// proxy's port and that for replicas are bound to every address, which RocketMQ has no setting for.
//
// Needs Java 17 and, the first time, Maven and Maven Central: the jars stay in .stampede/. `--fsync` is SYNC_FLUSH, which
// confirms what is on disk; RocketMQ by itself confirms what is in the page cache.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fetchJars, requireJava, run } from './launcher/java.mjs';
import { Refusal, runMain } from './launcher/prepare.mjs';

const VERSION = '5.5.0';
/** What its start scripts give, in less memory than they ask for (8 GB). */
const BROKER_JAVA = ['-Xms1g', '-Xmx1g', '-XX:+UseG1GC', '-XX:MaxDirectMemorySize=1g'];
const SMALL_JAVA = ['-Xms128m', '-Xmx128m'];
/** What Java 17 has closed and RocketMQ opens. */
const OPENED = ['java.lang', 'java.nio', 'sun.nio.ch', 'jdk.internal.ref'];

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      dir: { type: 'string' },
      port: { type: 'string' },
      'names-port': { type: 'string' },
      'broker-port': { type: 'string' },
      'ha-port': { type: 'string' },
      fsync: { type: 'boolean', default: false },
      version: { type: 'boolean', default: false },
    },
  });
  if (values.version) return void process.stdout.write(`${VERSION}\n`);
  const { dir, port, 'names-port': namesPort, 'broker-port': brokerPort, 'ha-port': haPort } = values;
  if (brokerPort && positionals.length > 0) return administer(brokerPort, positionals);
  if (!dir || !port || !namesPort || !brokerPort || !haPort) {
    throw new Refusal(
      'usage: rocketmq.mjs --dir DIR --port PORT --names-port PORT --broker-port PORT --ha-port PORT [--fsync]',
    );
  }
  requireJava(`RocketMQ ${VERSION}`);
  const settings = {
    nameServer: join(dir, 'name-server.conf'),
    broker: join(dir, 'broker.conf'),
    proxy: join(dir, 'conf', 'rmq-proxy.json'),
  };
  mkdirSync(join(dir, 'conf'), { recursive: true });
  writeFileSync(settings.nameServer, `bindAddress=127.0.0.1\nlistenPort=${namesPort}\n`);
  writeFileSync(settings.broker, brokerSettings({ dir, namesPort, brokerPort, haPort, fsync: values.fsync }));
  writeFileSync(
    settings.proxy,
    JSON.stringify({ rocketMQClusterName: CLUSTER, grpcServerPort: Number(port) }),
  );
  const proxy = [
    '-n',
    `127.0.0.1:${namesPort}`,
    '-pm',
    'local',
    '-bc',
    settings.broker,
    '-pc',
    settings.proxy,
  ];
  const commands = {
    nameServer: command(dir, SMALL_JAVA, 'namesrv.NamesrvStartup', ['-c', settings.nameServer]),
    broker: command(dir, BROKER_JAVA, 'proxy.ProxyStartup', proxy),
    env: { ROCKETMQ_HOME: dir },
  };
  process.stdout.write(`${JSON.stringify(commands)}\n`);
}

const CLUSTER = 'DefaultCluster';

const brokerSettings = ({ dir, namesPort, brokerPort, haPort, fsync }) => `
brokerClusterName=${CLUSTER}
brokerName=bench
brokerId=0
brokerRole=ASYNC_MASTER
flushDiskType=${fsync ? 'SYNC_FLUSH' : 'ASYNC_FLUSH'}
bindAddress=127.0.0.1
brokerIP1=127.0.0.1
listenPort=${brokerPort}
haListenPort=${haPort}
namesrvAddr=127.0.0.1:${namesPort}
storePathRootDir=${join(dir, 'store')}
storePathCommitLog=${join(dir, 'store', 'commitlog')}
autoCreateTopicEnable=false
`;

/** It ends with 0 whatever came of it, so that what it prints has to tell. */
function administer(brokerPort, [name, ...options]) {
  const home = mkdtempSync(join(tmpdir(), 'stampede-mqadmin-'));
  try {
    const words = [name, '-b', `127.0.0.1:${brokerPort}`, ...options];
    const { program, args } = command(home, SMALL_JAVA, 'tools.command.MQAdminStartup', words);
    const env = { ...process.env, ROCKETMQ_HOME: home };
    const said = run(program, args, `RocketMQ refused ${name}`, { env });
    if (!said.includes(' success'))
      throw new Refusal(`RocketMQ refused ${name}: ${said.trim().split('\n')[0]}`);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** Its logs go to the user's home, which is `dir` here. */
function command(dir, java, className, args) {
  const jars = fetchJars('RocketMQ', VERSION, DEPENDENCIES);
  const opened = OPENED.map((name) => `--add-opens=java.base/${name}=ALL-UNNAMED`);
  const options = [...java, ...opened, `-Duser.home=${dir}`, '-cp', join(jars, '*')];
  return { program: 'java', args: [...options, `org.apache.rocketmq.${className}`, ...args] };
}

const DEPENDENCIES = ['namesrv', 'proxy', 'tools']
  .map(
    (part) => `
    <dependency>
      <groupId>org.apache.rocketmq</groupId><artifactId>rocketmq-${part}</artifactId><version>${VERSION}</version>
    </dependency>`,
  )
  .join('');

await runMain(main);
