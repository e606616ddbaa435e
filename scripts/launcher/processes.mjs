import { spawn } from 'node:child_process';
import {
  createWriteStream,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { isAlive } from './lock.mjs';
import { Refusal } from './prepare.mjs';

const FIRST_BACK_OFF_MS = 200;
const LONGEST_BACK_OFF_MS = 10_000;
/** A process that ran this long is well again: its back-off starts anew. */
const WELL_AFTER_MS = 30_000;
const MAX_LOG_BYTES = 20 * 1024 * 1024;

/**
 * Keeps a set of processes running: starts them in process groups of their own (so that a Ctrl-C reaches
 * only the launcher, which decides the order), restarts the ones that die, and stops them.
 */
export class Supervisor {
  #dir;
  #say;
  #running = new Map();
  #stopping = false;

  constructor(dir, say) {
    this.#dir = dir;
    this.#say = say;
  }

  /** Ends what an earlier launcher started and could not stop, because it was killed itself. */
  endLeftOvers() {
    const path = join(this.#dir, 'pids.json');
    if (!existsSync(path)) return;
    for (const [name, { pid, mark }] of Object.entries(JSON.parse(readFileSync(path, 'utf8')))) {
      const commandLine = existsSync(`/proc/${pid}/cmdline`)
        ? readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        : '';
      if (isAlive(pid) && commandLine.includes(mark)) {
        this.#say(`ending ${name} (pid ${pid}), left over from an earlier run`);
        process.kill(pid, 'SIGTERM');
        const deadline = Date.now() + 10_000;
        while (isAlive(pid) && Date.now() < deadline)
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
        if (isAlive(pid)) process.kill(pid, 'SIGKILL');
      }
    }
    rmSync(path, { force: true });
  }

  /** `mark` is a part of the command line by which a left-over process is recognised. */
  start(name, program, args, env, mark) {
    this.#launch({ name, program, args, env, mark, backOffMs: FIRST_BACK_OFF_MS });
  }

  #launch(spec) {
    const logPath = join(this.#dir, 'logs', `${spec.name}.log`);
    if (existsSync(logPath) && statSync(logPath).size > MAX_LOG_BYTES) renameSync(logPath, `${logPath}.1`);
    const log = createWriteStream(logPath, { flags: 'a' });
    const startedAt = Date.now();
    const child = spawn(spec.program, spec.args, {
      env: { ...process.env, ...spec.env },
      // The IPC channel closes when the launcher is gone, however it went: services stop then.
      stdio:
        spec.program === process.execPath ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let lastLine = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        lastLine = String(chunk).trim().split('\n').at(-1).slice(0, 500) || lastLine;
        log.write(chunk);
      });
    }
    child.on('error', (error) => (lastLine = error.message));
    child.on('close', (code, signal) => {
      log.end();
      this.#running.delete(spec.name);
      if (this.#stopping) return;
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
    this.#running.set(spec.name, { child, spec });
    this.#writePids();
  }

  #writePids() {
    const pids = Object.fromEntries(
      [...this.#running].map(([name, { child, spec }]) => [name, { pid: child.pid, mark: spec.mark }]),
    );
    writeFileSync(join(this.#dir, 'pids.json'), JSON.stringify(pids, null, 2) + '\n');
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

  /** The log's end of a process that does not become ready. */
  lastLog(name) {
    const path = join(this.#dir, 'logs', `${name}.log`);
    return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').slice(-5).join('\n') : '';
  }
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
    const call = request(url, { timeout: 2000 }, (response) => {
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
