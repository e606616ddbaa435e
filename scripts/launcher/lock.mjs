import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Refusal } from './prepare.mjs';
import { identityOf, isAlive, isSame, waitUntil } from './process-identity.mjs';
import { readObject } from './state-files.mjs';

/** Between making a lock and writing one's name into it; a lock that stays empty longer belongs to nobody. */
const NAMED_WITHIN_MS = 500;

/**
 * Takes the data directory for this process. A second copy is refused by name. A lock whose owner is gone is
 * taken over, also when its pid is somebody else's by now, or when it died before it had written its name.
 */
export function lockDirectory(dir) {
  const path = join(dir, 'lock');
  for (let tries = 0; tries < 2; tries++) {
    try {
      const file = openSync(path, 'wx', 0o600);
      writeSync(file, JSON.stringify({ pid: process.pid, identity: identityOf(process.pid) }));
      closeSync(file);
      process.on('exit', () => rmSync(path, { force: true }));
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw new Refusal(`Cannot write to ${dir}: ${error.message}`);
      let owner;
      waitUntil(() => (owner = ownerOf(path)) !== undefined, NAMED_WITHIN_MS);
      if (owner !== undefined && isRunning(owner)) {
        throw new Refusal(
          `Another shop (pid ${owner.pid}) is running on ${dir}; stop it, or set STAMPEDE_DIR.`,
        );
      }
      rmSync(path, { force: true });
    }
  }
  throw new Refusal(`Another shop is starting on ${dir}.`);
}

/** Earlier versions wrote the bare pid. */
function ownerOf(path) {
  try {
    const pid = Number(readFileSync(path, 'utf8').trim());
    return pid > 0 ? { pid } : readObject(path);
  } catch (error) {
    if (error.code === 'ENOENT') return { pid: 0 };
    throw new Refusal(`Cannot read ${path}: ${error.message}`);
  }
}

/** Without an identity, from an earlier version or where the system tells none, it is a shop when it can be one. */
function isRunning(owner) {
  if (owner.identity !== undefined) return isSame(owner);
  if (process.platform !== 'linux') return isAlive(owner.pid);
  try {
    return readFileSync(`/proc/${owner.pid}/cmdline`, 'utf8').includes('shop.mjs');
  } catch {
    return false;
  }
}
