import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type HistoryEvent, parseHistory } from '../checker/history.js';

type Unstamped<Event> = Event extends { at: number } ? Omit<Event, 'at'> : never;

/**
 * One process's part of the history. Every event is handed to the operating system before the process goes
 * on, so that a SIGKILL loses no event: at most the line that is being written is torn. What is
 * asked for is written before it is asked, and an answer after it came.
 */
export class HistoryFile {
  private readonly file: number;

  constructor(path: string) {
    this.file = openSync(path, 'ax');
  }

  add(event: Unstamped<HistoryEvent>): void {
    writeSync(this.file, `${JSON.stringify({ at: monotonicUs(), ...event })}\n`);
  }

  close(): void {
    closeSync(this.file);
  }
}

/** Microseconds of the clock that all processes of the machine share and nobody sets. */
const monotonicUs = (): number => Number(process.hrtime.bigint() / 1_000n);

/** What earlier processes of this name have written, oldest first: `producer-1.0.jsonl`, `producer-1.1.jsonl` … */
export function readHistories(dir: string, name = ''): HistoryEvent[][] {
  return readdirSync(dir)
    .filter((file) => file.endsWith('.jsonl') && (name === '' || file.startsWith(`${name}.`)))
    .sort((left, right) => runOf(left) - runOf(right))
    .map((file) => parseHistory(readFileSync(join(dir, file), 'utf8')));
}

const runOf = (file: string): number => Number(file.split('.').at(-2));
