/** A program for specs, as a process or a thread: takes the directory that it is told of at the moment it is told, and says whether it got it. */
import { parentPort } from 'node:worker_threads';
import { DirectoryLock } from '../journal/directory-lock.js';

export type Contest = { dir: string; atMs: number };

let lock: DirectoryLock | undefined;

async function contend({ dir, atMs }: Contest): Promise<boolean> {
  while (Date.now() < atMs) continue;
  lock?.release();
  lock = undefined;
  try {
    lock = await DirectoryLock.take(dir);
    return true;
  } catch {
    return false;
  }
}

const tell = (what: unknown): void => (parentPort ? parentPort.postMessage(what) : void process.send?.(what));
const peer = parentPort ?? process;
peer.on('message', (contest: Contest) => void contend(contest).then(tell));
tell('ready');
