import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { identityOf, isAlive } from './process-identity.mjs';

const LOOK_EVERY_MS = 500;

/** Looked for at once: an installation may come before the watch begins. */
const PARENT = process.ppid;
const STARTERS = process.env.npm_lifecycle_event === undefined ? [] : findStarters();

/**
 * Calls `onGone` once npm, which started this process, is gone. npm hands a signal to the shell in which it runs a
 * command; that shell dies of it, or npm dies without it, and whoever they have started is told nothing. (A SIGINT to npm
 * alone, not to its terminal's group, does not end the shell: dash waits for its command, and nobody can see it.) A launcher that
 * was started by hand may outlive its shell (`nohup`), so it is left alone.
 */
export function whenStarterIsGone(onGone) {
  if (STARTERS.length === 0) return;
  const timer = setInterval(() => {
    if (process.ppid === PARENT && STARTERS.every(isThere)) return;
    clearInterval(timer);
    onGone();
  }, LOOK_EVERY_MS);
  timer.unref();
}

/** npm is above a shell to which it has given one command; where that shell has become the command, npm is the parent. */
function findStarters() {
  const { parent: above, args } = describe(PARENT);
  const pids = / -c /.test(args) && above > 1 ? [PARENT, above] : [PARENT];
  return pids.map((pid) => ({ pid, identity: identityOf(pid) }));
}

/** By its identity where that is to be had for nothing. */
const isThere = ({ pid, identity }) =>
  process.platform === 'linux' ? identityOf(pid) === identity : isAlive(pid);

/** The parent of a process, and its command line; 0 and none where nobody tells (Windows). */
function describe(pid) {
  try {
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return { parent: Number(parent), args };
    }
  } catch {
    return { parent: 0, args: '' };
  }
  if (process.platform === 'win32') return { parent: 0, args: '' };
  const { stdout } = spawnSync('ps', ['-o', 'ppid=,args=', '-p', String(pid)], { encoding: 'utf8' });
  const [, parent, args] = /^\s*(\d+)\s+(.*)/.exec(stdout ?? '') ?? [];
  return { parent: Number(parent ?? 0), args: args ?? '' };
}
