import { chmodSync, closeSync, existsSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

/** A process keeps this file and one before it: 20 MiB of logs at most, whatever it has to say. */
const MAX_LOG_BYTES = 10 * 1024 * 1024;

/** The output of one process, in a file that is exchanged for a new one as soon as it is full. */
export class LogFile {
  #path;
  #maxBytes;
  #file;
  #bytes = 0;

  constructor(path, maxBytes = MAX_LOG_BYTES) {
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  /** Whoever writes faster than the disk waits for it; what a full disk does not take is lost. */
  write(chunk) {
    try {
      if (this.#file === undefined) this.#open();
      if (this.#bytes > 0 && this.#bytes + chunk.length > this.#maxBytes) this.#rotate();
      for (let from = 0; from < chunk.length;) from += writeSync(this.#file, chunk, from);
      this.#bytes += chunk.length;
    } catch {
      // A log that cannot be written must not end the shop.
    }
  }

  end() {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #open() {
    if (existsSync(this.#path)) chmodSync(this.#path, 0o600);
    this.#file = openSync(this.#path, 'a', 0o600);
    this.#bytes = fstatSync(this.#file).size;
  }

  #rotate() {
    this.end();
    renameSync(this.#path, `${this.#path}.1`);
    this.#open();
  }
}
