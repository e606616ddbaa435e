import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Refusal } from './prepare.mjs';

/**
 * Takes the data directory for this process. A second copy is refused by name; a lock whose owner is
 * gone is taken over, and the pids that the owner had started are returned so that they can be ended.
 */
export function lockDirectory(dir) {
  const path = join(dir, 'lock');
  for (let tries = 0; tries < 2; tries++) {
    try {
      const file = openSync(path, 'wx');
      writeSync(file, String(process.pid));
      closeSync(file);
      process.on('exit', () => rmSync(path, { force: true }));
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw new Refusal(`Cannot write to ${dir}: ${error.message}`);
      const owner = Number(readFileSync(path, 'utf8'));
      if (isAlive(owner)) {
        throw new Refusal(`Another shop (pid ${owner}) is running on ${dir}; stop it, or set STAMPEDE_DIR.`);
      }
      rmSync(path, { force: true });
    }
  }
  throw new Refusal(`Another shop is starting on ${dir}.`);
}

export function isAlive(pid) {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
