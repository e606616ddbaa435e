import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { ProcessName } from './links.js';

const POLL_MS = 50;

/** The processes that the launcher keeps running in `dir`. It starts again whatever is killed here. */
export class ShopProcesses {
  constructor(private readonly dir: string) {}

  /** SIGKILL to the process and all that it has started. Resolves when the launcher has started it again. */
  async kill(name: ProcessName, againWithinMs: number): Promise<void> {
    const pids = this.treeOf(name);
    signal(pids, 'SIGKILL');
    const deadline = performance.now() + againWithinMs;
    while (this.pidOf(name) === undefined || this.pidOf(name) === pids[0]) {
      if (performance.now() > deadline)
        throw new Error(`${name} was not started again within ${againWithinMs} ms`);
      await wait(POLL_MS);
    }
  }

  /** SIGSTOP to all of it, until what this returns is called. */
  freeze(name: ProcessName): () => void {
    const pids = this.treeOf(name);
    signal(pids, 'SIGSTOP');
    return () => signal(pids, 'SIGCONT');
  }

  private pidOf(name: ProcessName): number | undefined {
    try {
      const pids = JSON.parse(readFileSync(join(this.dir, 'pids.json'), 'utf8')) as Record<
        string,
        { pid: number }
      >;
      return pids[name]?.pid;
    } catch {
      return undefined; // being written
    }
  }

  private treeOf(name: ProcessName): number[] {
    const root = this.pidOf(name);
    if (root === undefined) return [];
    const children = childrenByParent();
    const tree = [root];
    for (const pid of tree) tree.push(...(children.get(pid) ?? []));
    return tree;
  }
}

function signal(pids: readonly number[], name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // Gone already.
    }
  }
}

/** Linux only; elsewhere a process is struck without those that it has started. */
function childrenByParent(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  if (!existsSync('/proc/self/stat')) return children;
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      // `pid (name) state parent …`; a name may contain anything, so the fields are those after its last bracket.
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
    } catch {
      // Ended meanwhile.
    }
  }
  return children;
}
