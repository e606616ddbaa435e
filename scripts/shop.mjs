// `npm run shop`: the whole shop on this machine, from a fresh clone, with nothing else set up.
// `npm run shop -- --reset` empties its data first, `--broker NAME` is the same as BROKER=NAME. Data, logs and secrets live in .stampede/.
import { chmodSync, mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { readEnvironment } from './launcher/environment.mjs';
import { lockDirectory } from './launcher/lock.mjs';
import { requireSameMajor } from './launcher/postgres.mjs';
import { Refusal, prepare, root, runMain } from './launcher/prepare.mjs';
import {
  CONFIG_EXIT_CODE,
  Supervisor,
  acceptsConnections,
  answersOk,
  requireFreePorts,
  stopWaves,
  waitFor,
} from './launcher/processes.mjs';
import { findRedis, redisArguments, requireFitRedis } from './launcher/redis.mjs';
import { loadSecrets } from './launcher/secrets.mjs';
import { whenStarterIsGone } from './launcher/starter.mjs';

const READY_WITHIN_MS = 60_000;
const LEAST_FREE_BYTES = 256 * 1024 * 1024;

/** Every service: its place after the gateway's port, and whether it owns a Postgres schema. */
const SERVICES = [
  { name: 'gateway', portOffset: 0, schema: false },
  { name: 'order', portOffset: 1, schema: true },
  { name: 'stock', portOffset: 2, schema: true },
  { name: 'payment', portOffset: 3, schema: true },
  { name: 'notification', portOffset: 4, schema: true },
  { name: 'ops', portOffset: 5, schema: true },
];

async function main() {
  const startedAt = Date.now();
  // Whoever read what we say may go away; the shop stays.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const { values } = parseArgs({
    options: { reset: { type: 'boolean', default: false }, broker: { type: 'string' } },
  });
  if (values.broker !== undefined) process.env.BROKER = values.broker;
  readEnvironment(process.env);
  prepare();

  // Journal, tables, counters and logs hold what buyers and the shop keep to themselves: whatever is made from here on is its owner's alone.
  process.umask(0o077);
  const dir = dataDirectory();
  lockDirectory(dir);
  const supervisor = new Supervisor(dir, say, (line) => {
    process.stderr.write(`${line}\n`);
    stop().then(() => process.exit(CONFIG_EXIT_CODE));
  });
  const stop = stopOnSignal(supervisor);
  supervisor.endLeftOvers();
  if (values.reset) {
    // The secrets first: without them, a start on what a reset that was cut has left is refused.
    for (const part of ['secrets.json', 'postgres', 'redis', 'broker', 'logs']) {
      rmSync(join(dir, part), { recursive: true, force: true });
    }
  }
  for (const part of ['redis', 'broker', 'logs']) makePrivate(join(dir, part));
  const plan = makePlan(dir);
  await requireFreePorts(plan.ports);

  try {
    await startStores(supervisor, plan);
    for (const { name, env } of plan.services) {
      const program = join(root, `dist/apps/${name}/src/main.js`);
      supervisor.start(name, process.execPath, ['--enable-source-maps', program], env);
    }
    await Promise.all(
      plan.services.map(({ name, url }) =>
        waitFor(answersOk(`${url}/health/ready`), READY_WITHIN_MS, () => notReady(supervisor, name)),
      ),
    );
  } catch (error) {
    await stop();
    throw error;
  }
  supervisor.opened();
  announce(plan, startedAt);
}

function dataDirectory() {
  const name = process.env.STAMPEDE_DIR ?? '.stampede';
  const dir = isAbsolute(name) ? name : join(root, name);
  try {
    mkdirSync(dir, { recursive: true });
    if (process.env.STAMPEDE_DIR === undefined) chmodSync(dir, 0o700);
  } catch (error) {
    throw new Refusal(
      `Data cannot be kept in ${dir} (${error.code}): set STAMPEDE_DIR to a folder that can be written.`,
    );
  }
  const { bavail, bsize } = statfsSync(dir);
  if (bavail * bsize < LEAST_FREE_BYTES) {
    throw new Refusal(
      `The disk of ${dir} is full: ${Math.floor((bavail * bsize) / 2 ** 20)} MiB free, 256 needed.`,
    );
  }
  return dir;
}

/** Makes a folder that only its owner can open, and closes one that an earlier version has left open to all. */
function makePrivate(dir) {
  mkdirSync(dir, { recursive: true });
  chmodSync(dir, 0o700);
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (!entry.isDirectory() && !entry.isFile()) continue;
    chmodSync(join(entry.parentPath ?? entry.path, entry.name), entry.isFile() ? 0o600 : 0o700);
  }
}

/** Who listens where, and what each service is told: the deployment on one page. */
function makePlan(dir) {
  const basePort = Number(process.env.PORT ?? 3000);
  const local = (offset) => `http://127.0.0.1:${basePort + offset}`;
  const [postgresPort, redisPort, brokerPort, mailboxPort] = [10, 11, 12, 25].map(
    (offset) => basePort + offset,
  );
  const brokerUrl = process.env.BROKER_URL ?? `tcp://127.0.0.1:${brokerPort}`;
  const secrets = loadSecrets(dir, brokerUrl);
  const adminUrl =
    process.env.DATABASE_URL ??
    `postgresql://postgres:${secrets.postgresPassword}@127.0.0.1:${postgresPort}/stampede`;
  const urls = Object.fromEntries(SERVICES.map(({ name, portOffset }) => [name, local(portOffset)]));
  const common = {
    HOST: '127.0.0.1',
    LOG_LEVEL: process.env.LOG_LEVEL ?? 'info',
    BROKER: 'embedded',
    BROKER_URL: brokerUrl,
    BROKER_TOKEN: secrets.brokerToken,
    REDIS_URL: process.env.REDIS_URL ?? `redis://127.0.0.1:${redisPort}`,
    JWT_SECRET: secrets.jwtSecret,
    IDENTITY_SECRET: secrets.identitySecret,
    PAYMENT_WEBHOOK_SECRET: secrets.paymentWebhookSecret,
    PUBLIC_URL: process.env.PUBLIC_URL ?? urls.gateway,
    WEBHOOK_URL: `${urls.gateway}/api/payments/webhook`,
    MAILBOX_SMTP_PORT: String(mailboxPort),
    SEED_SHOWS: process.env.SEED_SHOWS ?? 'true',
    ...Object.fromEntries(
      Object.entries(urls).map(([name, url]) => [`${name.toUpperCase().replaceAll('-', '_')}_URL`, url]),
    ),
  };
  const services = SERVICES.map(({ name, portOffset, schema }) => ({
    name,
    url: urls[name],
    env: {
      ...common,
      PORT: String(basePort + portOffset),
      // The gateway alone has clients who must be told to go elsewhere.
      ...(name !== 'gateway' && { DRAIN_MS: '0' }),
      DATABASE_URL: schema ? serviceDatabaseUrl(adminUrl, name, secrets) : '',
    },
  }));
  if (!process.env.BROKER_URL) {
    const env = {
      ...common,
      PORT: String(basePort + 6),
      BROKER_PORT: String(brokerPort),
      BROKER_DIR: process.env.BROKER_DIR ?? join(dir, 'broker'),
    };
    services.unshift({ name: 'broker', url: local(6), env });
  }
  const ports = services.map(({ name, env }) => [name, Number(env.PORT), 'PORT']);
  ports.push(['local mailbox', mailboxPort, 'PORT']);
  if (!process.env.DATABASE_URL) ports.push(['PostgreSQL', postgresPort, 'PORT or DATABASE_URL']);
  if (!process.env.REDIS_URL) ports.push(['Redis', redisPort, 'PORT or REDIS_URL']);
  if (!process.env.BROKER_URL) ports.push(['broker', brokerPort, 'PORT or BROKER_URL']);
  return { dir, secrets, adminUrl, services, ports, postgresPort, redisPort };
}

function serviceDatabaseUrl(adminUrl, name, secrets) {
  const url = new URL(adminUrl);
  url.username = `stampede_${name}`;
  url.password = secrets[`${name}DbPassword`];
  return url.href;
}

/** Postgres (migrated) and Redis, unless the environment names others. */
async function startStores(supervisor, plan) {
  if (!process.env.REDIS_URL) {
    const args = redisArguments(join(plan.dir, 'redis'), plan.redisPort);
    supervisor.start('redis', findRedis(), args, {});
  } else {
    for (const warning of await requireFitRedis(process.env.REDIS_URL, READY_WITHIN_MS)) say(warning);
  }
  if (!process.env.DATABASE_URL) {
    const postgresDir = join(plan.dir, 'postgres');
    await requireSameMajor(postgresDir);
    const args = [
      join(root, 'scripts/postgres.mjs'),
      '--dir',
      postgresDir,
      '--port',
      String(plan.postgresPort),
    ];
    supervisor.start('postgres', process.execPath, args, {
      POSTGRES_PASSWORD: plan.secrets.postgresPassword,
    });
  }
  const { migrate } = await import(pathToFileURL(join(root, 'dist/prisma/migrate.js')).href);
  const passwords = Object.fromEntries(
    SERVICES.filter(({ schema }) => schema).map(({ name }) => [name, plan.secrets[`${name}DbPassword`]]),
  );
  let lastError;
  await waitFor(
    () =>
      migrate({ adminUrl: plan.adminUrl, passwords }).then(
        () => true,
        (error) => {
          // One that says what is wrong with the server: waiting does not change it.
          if (error.name === 'DatabaseRefusal') throw new Refusal(error.message);
          lastError = error;
          return false;
        },
      ),
    READY_WITHIN_MS,
    () => `The database cannot be migrated: ${lastError.message}\n${supervisor.lastLog('postgres')}`,
  );
  if (!process.env.REDIS_URL) {
    await waitFor(acceptsConnections(plan.redisPort), READY_WITHIN_MS, () => notReady(supervisor, 'redis'));
  }
}

const notReady = (supervisor, name) =>
  `${name} is not ready after ${READY_WITHIN_MS / 1000} s. The end of its log:\n${supervisor.lastLog(name)}`;

function stopOnSignal(supervisor) {
  let stopped;
  const services = SERVICES.map(({ name }) => name);
  const stop = () => (stopped ??= supervisor.stop(stopWaves(services, process.env.DRAIN_MS)));
  const end = () => {
    if (!stopped) say('stopping …');
    stop().then(() => process.exit(0));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, end);
  whenStarterIsGone(end);
  return stop;
}

function announce(plan, startedAt) {
  const gateway = plan.services.find(({ name }) => name === 'gateway').url;
  process.stdout.write(`
Stampede is open. Ready in ${((Date.now() - startedAt) / 1000).toFixed(1)} s.

  shop         ${gateway}/api/shows
  API          ${gateway}/docs
  health       ${gateway}/health/ready
  data, logs   ${plan.dir}

  a sale       npm run flash-sale -- --buyers 5000 --tickets 500
  the proof    npm run verdict
  stop         Ctrl-C
`);
}

function say(text) {
  process.stderr.write(`[shop] ${text}\n`);
}

await runMain(main);
