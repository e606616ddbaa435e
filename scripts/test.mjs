// `npm test`: every test that this machine can run, from a fresh clone. Installs, builds, starts one
// PostgreSQL and one shop for all suites, and says what it could not run and why.
//   npm test -- unit|int|e2e …      only these suites
//   npm test -- kafka               against one real Kafka node, or those of KAFKA_BROKERS; runs when it is named only
//   npm test -- e2e --match REGEX    only these files of a suite
// With SHOP_URL and JWT_SECRET set, the e2e suite runs against that shop and starts none.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Refusal, prepare, root, runMain, withoutProxyOnLoopback } from './launcher/prepare.mjs';
import { findRedis } from './launcher/redis.mjs';

const POSTGRES_PASSWORD = 'test';
const children = [];
const dir = mkdtempSync(join(tmpdir(), 'stampede-test-'));

/** Name → what of the tree, and what has to run before. */
const SUITES = {
  unit: { files: '(?<!\\.int|\\.e2e|\\.kafka)\\.spec\\.ts$', args: ['--maxWorkers=2'] },
  int: { files: '\\.int\\.spec\\.ts$', args: ['--maxWorkers=2'], start: startStores },
  e2e: { files: '\\.e2e\\.spec\\.ts$', args: ['--runInBand'], start: startShop },
  kafka: { files: '\\.kafka\\.spec\\.ts$', args: ['--runInBand'], start: startKafka, onlyWhenNamed: true },
};

async function main() {
  prepare();
  const { values, positionals: wanted } = parseArgs({
    options: { match: { type: 'string' } },
    allowPositionals: true,
  });
  const unknown = wanted.find((name) => !(name in SUITES));
  if (unknown) throw new Refusal(`No suite "${unknown}"; there are ${Object.keys(SUITES).join(', ')}.`);
  const total = { passed: 0, failed: 0 };
  const notRun = [];
  for (const [name, suite] of Object.entries(SUITES)) {
    if (wanted.length > 0 ? !wanted.includes(name) : suite.onlyWhenNamed) continue;
    let env;
    try {
      env = (await suite.start?.()) ?? {};
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      notRun.push(`${name}: ${error.message}`);
      continue;
    }
    process.stdout.write(`\n--- ${name} ---\n`);
    const files = values.match ? `${values.match}.*${suite.files}` : suite.files;
    const { passed, failed } = await jest(name, ['--testPathPatterns', files, ...suite.args], env);
    total.passed += passed;
    total.failed += failed;
    await stopChildren();
  }
  for (const reason of notRun) process.stdout.write(`\nNOT RUN ${reason}\n`);
  // In CI a suite that cannot run has failed.
  if (process.env.CI) total.failed += notRun.length;
  process.stdout.write(`\n${total.passed} passed, ${total.failed} failed\n`);
  process.exitCode = total.failed > 0 ? 1 : 0;
}

/** Runs jest and reads its own report; a run that ends without one counts as one failure. */
async function jest(name, args, env) {
  const report = join(dir, `${name}.json`);
  const program = join(root, 'node_modules/jest/bin/jest.js');
  const nodeArgs = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', program];
  const jestArgs = [
    '--config',
    join(root, '.config/jest.config.mjs'),
    '--json',
    '--outputFile',
    report,
    '--forceExit',
    ...args,
  ];
  const code = await new Promise((resolve) => {
    const child = spawn(process.execPath, [...nodeArgs, ...jestArgs], {
      cwd: root,
      env: withoutProxyOnLoopback({ ...process.env, ...env }),
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    child.on('close', resolve);
  });
  try {
    const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites } = JSON.parse(
      readFileSync(report, 'utf8'),
    );
    return { passed: numPassedTests, failed: numFailedTests + numRuntimeErrorTestSuites };
  } catch {
    process.stdout.write(`jest ended with code ${code} and left no report\n`);
    return { passed: 0, failed: 1 };
  }
}

/** One PostgreSQL, in which each spec makes a database of its own. Redis starts so fast that each spec has one. */
async function startStores() {
  findRedis();
  const port = await freePort();
  const args = ['--dir', join(dir, 'postgres'), '--port', String(port), '--unsafe-fast'];
  await start(process.execPath, [join(root, 'scripts/postgres.mjs'), ...args], /^ready$/m, {
    POSTGRES_PASSWORD,
  });
  return { TEST_DATABASE_URL: `postgresql://postgres:${POSTGRES_PASSWORD}@127.0.0.1:${port}/stampede` };
}

/** The shop that all specs share which need no settings of their own. */
async function startShop() {
  if (process.env.SHOP_URL) return {};
  findRedis();
  const port = await freePort();
  const env = {
    STAMPEDE_DIR: join(dir, 'shop'),
    PORT: String(port),
    SHOP_URL: `http://127.0.0.1:${port}`,
    JWT_SECRET: 'test-secret-that-is-long-enough-for-hs256',
  };
  await start(process.execPath, [join(root, 'scripts/shop.mjs')], /Ready in/, env);
  return env;
}

/** One node on loopback for all specs of the suite, as the bench's but with half the memory. */
async function startKafka() {
  if (process.env.KAFKA_BROKERS) return {};
  const [port, controllerPort] = [await freePort(), await freePort()];
  const ports = ['--port', String(port), '--controller-port', String(controllerPort)];
  const script = [join(root, 'scripts/kafka.mjs'), '--dir', join(dir, 'kafka'), ...ports, '--heap-mb', '512'];
  const { status, stdout, stderr } = spawnSync(process.execPath, script, { encoding: 'utf8' });
  if (status !== 0) throw new Refusal(`KAFKA_BROKERS is not set, and ${stderr.trim().split('\n')[0]}`);
  const { program, args } = JSON.parse(stdout);
  const node = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'], cwd: root });
  children.push(node);
  for (const deadlineMs = Date.now() + 60_000; !(await accepts(port));) {
    if (node.exitCode !== null || Date.now() > deadlineMs) throw new Error('Kafka did not start in a minute');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { KAFKA_BROKERS: `127.0.0.1:${port}` };
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function start(program, args, readyPattern, env) {
  const child = spawn(program, args, {
    env: withoutProxyOnLoopback({ ...process.env, ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: root,
  });
  children.push(child);
  let output = '';
  await new Promise((resolve, reject) => {
    const read = (chunk) => {
      output = (output + chunk).slice(-4000);
      if (readyPattern.test(output)) resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`${program} ended with ${code}:\n${output}`)));
  });
}

async function stopChildren() {
  await Promise.all(
    children.splice(0).map((child) => {
      if (child.exitCode !== null || child.signalCode !== null) return undefined;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      return ended;
    }),
  );
}

/** A port that is free now, low enough that the shop's others (up to 25 above) are ordinary ports too. */
function freePort() {
  return new Promise((resolve) => {
    const port = 10_000 + Math.floor(Math.random() * 300) * 30;
    const probe = createServer();
    probe.once('error', () => resolve(freePort()));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(port)));
  });
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => void stopChildren().then(() => process.exit(130)));
}
await runMain(async () => {
  try {
    await main();
  } finally {
    await stopChildren();
    rmSync(dir, { recursive: true, force: true });
  }
});
