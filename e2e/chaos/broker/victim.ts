import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What is kept of a process's standard error, for the case that it dies unasked. */
const KEPT_CHARACTERS = 4_000;

export type Program = {
  name: string;
  /** Path of the program, from this folder. */
  path: string;
  /** Of the `run`-th start, from 0. */
  args?: (run: number) => string[];
  env?: Record<string, string>;
};

/** A process that is killed, paused and started again, and that must not end in any other way. */
export class VictimProcess {
  runs = 0;
  kills = 0;
  /** Each end that nobody asked for. */
  readonly unexpected: string[] = [];
  private child: ChildProcess | undefined;
  private readonly lines = new Set<string>();
  private ending = false;
  private errors = '';

  constructor(private readonly program: Program) {}

  start(): void {
    const { path, args, env, name } = this.program;
    const script = fileURLToPath(new URL(path, import.meta.url));
    const child = spawn(process.execPath, ['--enable-source-maps', script, ...(args?.(this.runs) ?? [])], {
      // Without a channel of its own to its launcher, the broker would outlive it.
      stdio: ['pipe', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...env },
    });
    this.runs += 1;
    this.child = child;
    this.ending = false;
    this.errors = '';
    this.lines.clear();
    child.stdout?.on('data', (chunk: Buffer) => {
      for (const line of chunk.toString().split('\n')) this.lines.add(line);
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      this.errors = (this.errors + chunk.toString()).slice(-KEPT_CHARACTERS);
    });
    // Written to while it dies: its end is told by `exit`.
    child.stdin?.on('error', () => undefined);
    child.once('exit', (code, signal) => {
      if (this.ending || child !== this.child) return;
      this.unexpected.push(`${name} ended with ${signal ?? code}: ${this.errors.trim()}`);
    });
  }

  get isUp(): boolean {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** SIGKILL: it gets no chance to finish anything. Resolves when it is gone. */
  async kill(): Promise<void> {
    if (!this.isUp || this.child === undefined) return;
    this.ending = true;
    this.kills += 1;
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }

  pause(): void {
    this.child?.kill('SIGSTOP');
  }

  resume(): void {
    this.child?.kill('SIGCONT');
  }

  command(line: string): void {
    this.child?.stdin?.write(`${line}\n`);
  }

  /** Whether the running process has written this line. */
  hasSaid(line: string): boolean {
    return this.lines.has(line);
  }

  /** Lets it end in its own way; what is not over by then is killed and counts as a failure. */
  async end(how: 'SIGTERM' | 'leave', withinMs: number): Promise<void> {
    if (!this.isUp || this.child === undefined) return;
    const gone = once(this.child, 'exit') as Promise<[number | null, string | null]>;
    this.ending = true;
    if (how === 'leave') this.command('leave');
    else this.child.kill('SIGTERM');
    const deadline = setTimeout(() => this.child?.kill('SIGKILL'), withinMs);
    const [code, signal] = await gone;
    clearTimeout(deadline);
    if (code !== 0)
      this.unexpected.push(
        `${this.program.name} did not end well (${signal ?? code}) when asked to: ${this.errors.trim()}`,
      );
  }
}
