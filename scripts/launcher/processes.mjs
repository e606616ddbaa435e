import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { LogFile } from './log-file.mjs';
import { Refusal, withoutProxyOnLoopback } from './prepare.mjs';
import { endProcess, identityOf, isSame } from './process-identity.mjs';
import { readObject, writeWhole } from './state-files.mjs';

const FIRST_BACK_OFF_MS = 200;
const LONGEST_BACK_OFF_MS = 10_000;
/** A process that ran this long is well again: its back-off starts anew. */
const WELL_AFTER_MS = 30_000;
/** Waits ask the shop itself: never by way of a proxy, which the global agent would take from HTTP_PROXY. */
const DIRECT = new Agent();
/** `EX_CONFIG`: how a process ends that only the operator can help (`libs/service-kit/src/exit-code.ts`). */
export const CONFIG_EXIT_CODE = 78;
/** Beside a program that knows no IPC channel: its standard input closes when the launcher is gone, however it went. */
const WARDEN = 'read -r _; kill "$0" 2>/dev/null';

/**
 * Keeps a set of processes running: starts them in process groups of their own (so that a Ctrl-C reaches
 * only the launcher, which decides the order), restarts the ones that die, and stops them. One that ends with
 * `CONFIG_EXIT_CODE` would end so again: it is not restarted, and `onRefusal` gets the line in which it said why. Not so once
 * all have been well (`opened`): then a port or a file has been taken from one of them, which may be given back, and the
 * others go on.
 */
export class Supervisor {
  #dir;
  #say;
  #onRefusal;
  #running = new Map();
  #stopping = false;
  #isOpen = false;

  constructor(dir, say, onRefusal = say) {
    this.#dir = dir;
    this.#say = say;
    this.#onRefusal = onRefusal;
  }

  /** Ends what an earlier launcher started and could not stop, because it was killed itself. A file that says nothing names nobody. */
  endLeftOvers() {
    const path = join(this.#dir, 'pids.json');
    for (const [name, owner] of Object.entries(readObject(path) ?? {})) {
      if (!isSame(owner ?? {})) continue;
      this.#say(`ending ${name} (pid ${owner.pid}), left over from an earlier run`);
      if (!endProcess(owner, 'SIGTERM', 10_000)) {
        throw new Refusal(
          `${name} (pid ${owner.pid}), left over from an earlier run, cannot be ended: end it.`,
        );
      }
    }
    rmSync(path, { force: true });
  }

  start(name, program, args, env) {
    if (this.#stopping) return;
    this.#launch({ name, program, args, env, backOffMs: FIRST_BACK_OFF_MS });
  }

  /** All are ready: from here on no end of one is the end of all. */
  opened() {
    this.#isOpen = true;
  }

  #launch(spec) {
    const log = new LogFile(this.#logPath(spec.name));
    const startedAt = Date.now();
    const isNode = spec.program === process.execPath;
    const child = spawn(spec.program, spec.args, {
      env: withoutProxyOnLoopback({ ...process.env, ...spec.env }),
      // The IPC channel closes when the launcher is gone, however it went: services stop then.
      stdio: isNode ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const warden = isNode ? undefined : watchOver(child);
    let lastLine = '';
    let lastError = '';
    child.stdout.on('data', (chunk) => {
      lastLine = tellingLine(String(chunk)) || lastLine;
      log.write(chunk);
    });
    child.stderr.on('data', (chunk) => {
      lastLine = lastError = tellingLine(String(chunk)) || lastError;
      log.write(chunk);
    });
    child.on('error', (error) => (lastLine = error.message));
    child.on('close', (code, signal) => {
      log.end();
      warden?.kill('SIGKILL');
      this.#running.delete(spec.name);
      if (this.#stopping) return;
      if (code === CONFIG_EXIT_CODE && !this.#isOpen) return this.#onRefusal(lastError);
      const backOffMs = Date.now() - startedAt > WELL_AFTER_MS ? FIRST_BACK_OFF_MS : spec.backOffMs;
      const how = signal ? `was killed by ${signal}` : `ended with code ${code}`;
      this.#say(
        `${spec.name} ${how}; starting it again in ${backOffMs / 1000} s${code ? `: ${lastLine}` : ''}`,
      );
      setTimeout(() => {
        if (!this.#stopping)
          this.#launch({ ...spec, backOffMs: Math.min(backOffMs * 2, LONGEST_BACK_OFF_MS) });
      }, backOffMs);
    });
    this.#running.set(spec.name, { child, spec, identity: identityOf(child.pid) });
    this.#writePids();
  }

  #writePids() {
    const pids = Object.fromEntries(
      [...this.#running].map(([name, { child, identity }]) => [name, { pid: child.pid, identity }]),
    );
    try {
      writeWhole(join(this.#dir, 'pids.json'), JSON.stringify(pids, null, 2) + '\n');
    } catch (error) {
      // On a full disk: a shop that sells is not ended for it.
      this.#say(`pids.json cannot be written: ${error.message}`);
    }
  }

  /** Stops in waves: each gets SIGTERM together and its time, what is left after that SIGKILL. */
  async stop(waves) {
    this.#stopping = true;
    for (const { names, withinMs } of waves) {
      const children = names.flatMap((name) => this.#running.get(name) ?? []);
      const ended = children.map(({ child }) => new Promise((resolve) => child.once('close', resolve)));
      for (const { child } of children) child.kill('SIGTERM');
      const timer = setTimeout(() => {
        for (const { child, spec } of children) {
          if (child.exitCode !== null || child.signalCode !== null) continue;
          this.#say(`${spec.name} did not stop within ${withinMs / 1000} s; killing it`);
          child.kill('SIGKILL');
        }
      }, withinMs);
      await Promise.all(ended);
      clearTimeout(timer);
    }
    rmSync(join(this.#dir, 'pids.json'), { force: true });
  }

  #logPath(name) {
    return join(this.#dir, 'logs', `${name}.log`);
  }

  /** The log's end of a process that does not become ready. */
  lastLog(name) {
    const path = this.#logPath(name);
    return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').slice(-5).join('\n') : '';
  }
}

/**
 * The edge first, so that nothing new comes in; then the services, which finish what they have in flight; then what they
 * stand on. Together under ten seconds, on top of what the gateway waits on purpose.
 *
 * @param drainMs `DRAIN_MS` as it stands in the environment; a gateway that cannot read it has not started
 */
export function stopWaves(services, drainMs) {
  return [
    { names: ['gateway'], withinMs: 2_000 + (Number(drainMs) || 0) },
    { names: services.filter((name) => name !== 'gateway'), withinMs: 4_000 },
    { names: ['broker'], withinMs: 1_500 },
    { names: ['redis', 'postgres'], withinMs: 2_000 },
  ];
}

function watchOver({ pid }) {
  if (pid === undefined) return undefined;
  const warden = spawn('sh', ['-c', WARDEN, String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  warden.on('error', () => undefined);
  warden.stdin.on('error', () => undefined);
  return warden;
}

/** Of the output of a process that ends: the error's own line when there is one, since a stack and a version follow it. */
function tellingLine(text) {
  const lines = text.trim().split('\n');
  return (lines.find((line) => /^([\w-]+: )?\w*Error\b.*: /.test(line)) ?? lines.at(-1)).slice(0, 500);
}

/** Refuses by name when a port is taken. */
export async function requireFreePorts(ports) {
  for (const [owner, port, variable] of ports) {
    await new Promise((resolve, reject) => {
      const probe = createServer();
      probe.once('error', (error) =>
        reject(
          new Refusal(
            `Port ${port} (${owner}) cannot be used: ${error.code}. Set ${variable} to another port.`,
          ),
        ),
      );
      probe.listen(port, '127.0.0.1', () => probe.close(resolve));
    });
  }
}

export const acceptsConnections = (port) => () =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(socket.destroy() && true));
    socket.once('error', () => resolve(false));
  });

export const answersOk = (url) => () =>
  new Promise((resolve) => {
    const call = request(url, { timeout: 2000, agent: DIRECT }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    call.once('error', () => resolve(false));
    call.once('timeout', () => call.destroy());
    call.end();
  });

/** Polls until `condition` holds; refuses with `describe()` after `timeoutMs`. */
export async function waitFor(condition, timeoutMs, describe) {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Refusal(describe());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
