import { execFileSync } from 'node:child_process';
import { cpus, release } from 'node:os';

/** What the figures of a run depend on. */
export type Conditions = {
  /** When the run ended, ISO 8601. */
  at: string;
  /** Of the sources; absent where there is no git, or no repository. */
  commit?: string;
  machine: { cpu: string; cores: number; node: string; kernel: string };
};

export function conditions(now = new Date()): Conditions {
  const commit = commitOf();
  const all = cpus();
  return {
    at: now.toISOString(),
    ...(commit !== undefined && { commit }),
    machine: {
      cpu: all[0]?.model ?? 'unknown',
      cores: all.length,
      node: process.version,
      kernel: `${process.platform} ${release()}`,
    },
  };
}

function commitOf(): string | undefined {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no') !== '';
    return git('rev-parse', '--short=10', 'HEAD') + (changed ? ' and what was not committed' : '');
  } catch {
    // A copy without its history is measured all the same.
    return undefined;
  }
}
