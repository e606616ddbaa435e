import { execFile, spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const STOP_MS = 20_000;
const LISTEN_MS = 60_000;
const POLL_MS = 25;
/** Of a program that failed, for the report. */
const ERROR_CHARS = 400;
/** Clock ticks per second in /proc; fixed in Linux's user interface. */
const TICKS_PER_SECOND = 100;

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A child that was started here, and is therefore stopped here, by its pid. */
export class Program {
  private output = '';
  private gone: string | undefined;
  private readonly exited: Promise<void>;

  private constructor(
    private readonly name: string,
    readonly child: ChildProcess,
  ) {
    const note = (chunk: unknown): void => {
      this.output = (this.output + String(chunk)).slice(-4_096);
    };
    child.stdout?.on('data', note);
    child.stderr?.on('data', note);
    this.exited = new Promise((resolve) => {
      const ended = (how: string): void => {
        this.gone ??= how;
        resolve();
      };
      child.once('error', (error) => ended(error.message));
      child.once('exit', (code, signal) => ended(`exited with ${signal ?? code}`));
    });
  }

  static start(command: string, args: readonly string[], options: SpawnOptions = {}): Program {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    const program = new Program(command, child);
    started.add(program);
    void program.exited.then(() => started.delete(program));
    return program;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Waits until something listens on the port. @throws when the program ends before, or in a minute */
  async listening(port: number): Promise<void> {
    for (const deadline = Date.now() + LISTEN_MS; ; await sleep(POLL_MS)) {
      if (this.gone !== undefined) throw new Error(this.describe(this.gone));
      if (await accepts(port)) return;
      if (Date.now() > deadline)
        throw new Error(this.describe(`did not listen on port ${port} in ${LISTEN_MS} ms`));
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.gone !== undefined) return;
    this.child.kill(signal);
    const kill = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS);
    await this.exited;
    clearTimeout(kill);
  }

  /** Now, without waiting: for the end of the bench itself. */
  killNow(): void {
    this.child.kill('SIGKILL');
  }

  private describe(what: string): string {
    return `${this.name} ${what}: ${this.output.trim().slice(-ERROR_CHARS)}`.replace(/\s+/g, ' ');
  }
}

const started = new Set<Program>();

const temporaryDirs = new Set<string>();

/** When the bench is interrupted: nothing of it stays behind. */
export function killStarted(): void {
  for (const program of started) program.killNow();
  for (const dir of temporaryDirs) rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
}

/** @throws when none of the programs is on the PATH; the message says what to install */
export function findProgram(names: readonly string[], debianPackage: string): string {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  for (const name of names) {
    for (const folder of folders) if (existsSync(join(folder, name))) return join(folder, name);
  }
  throw new Error(`${names.join(' or ')} is not installed (Debian package ${debianPackage})`);
}

/**
 * What `scripts/<name>.mjs` prints: it makes a broker of others ready.
 *
 * @throws with its line when Java, Maven or the network is missing
 */
export async function runScript(name: string, args: readonly string[]): Promise<string> {
  const script = promisify(execFile)(process.execPath, [`scripts/${name}.mjs`, ...args]);
  const { stdout } = await script.catch((error: unknown) => {
    throw new Error(String((error as { stderr?: unknown }).stderr ?? error).trim(), { cause: error });
  });
  return stdout;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const done = (yes: boolean): void => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
}

/** Free now, and below the range of outgoing connections, so that none of those takes it meanwhile. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port === port));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

export async function inTemporaryDir<Result>(work: (dir: string) => Promise<Result>): Promise<Result> {
  const dir = await mkdtemp(join(tmpdir(), 'stampede-bench-'));
  temporaryDirs.add(dir);
  try {
    return await work(dir);
  } finally {
    temporaryDirs.delete(dir);
    await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** User and system time of a process so far; 0 where there is no /proc. */
export function cpuSecondsOf(pid: number): number {
  const text = readProc(`/proc/${pid}/stat`);
  // The name before it may hold spaces; fields are counted from its closing parenthesis.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND;
}

/** Resident memory in MB: now, and at most so far. */
export function memoryOf(pid: number): { rssMb: number; peakRssMb: number } {
  const text = readProc(`/proc/${pid}/status`);
  const mb = (field: string): number => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(text)?.[1] ?? 0) / 1024;
  return { rssMb: Math.round(mb('VmRSS')), peakRssMb: Math.round(mb('VmHWM')) };
}

export function openFilesOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function readProc(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
