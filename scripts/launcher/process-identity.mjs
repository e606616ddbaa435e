import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * What tells a process from a later one that was given the same pid: when it was started, and in which run of
 * the machine. Undefined when there is no such process, or where the system does not tell (Windows).
 */
export function identityOf(pid) {
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  if (process.platform === 'linux') {
    try {
      // Field 22: ticks since the machine was started. The name before it may hold anything but a last `)`.
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (fields[0] === 'Z') return undefined;
      return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${fields[19]}`;
    } catch {
      return undefined;
    }
  }
  if (process.platform === 'win32') return undefined;
  const { status, stdout } = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
  });
  return status === 0 ? stdout.trim() || undefined : undefined;
}

/** Whether the process that was named `{pid, identity}` is still there. */
export const isSame = ({ pid, identity }) => identity !== undefined && identityOf(pid) === identity;

export function isAlive(pid) {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Blocks until `isOver()` or the time is out; true when it is over. For what runs before anything else does. */
export function waitUntil(isOver, withinMs) {
  const deadline = Date.now() + withinMs;
  while (!isOver()) {
    if (Date.now() > deadline) return false;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
  return true;
}

/** Ends a process with `signal`, and by force when that takes longer; true when it is gone. */
export function endProcess(owner, signal, withinMs) {
  const isGone = () => !isSame(owner);
  try {
    process.kill(owner.pid, signal);
    if (waitUntil(isGone, withinMs)) return true;
    process.kill(owner.pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') return false;
  }
  return waitUntil(isGone, 1_000);
}
