import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { findProgram } from './processes.js';

/** What the figures depend on. */
export function describeMachine(): Record<string, unknown> {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryMb: Math.round(totalmem() / 1024 ** 2),
    os: `${process.platform} ${release()}`,
    node: process.version,
    // Of the last minute: tells whether something else was running.
    loadAverage: loadavg()[0],
    versions: {
      redis: versionOf(['redis-server', 'valkey-server'], ['--version'], /v=([\d.]+)/),
      rabbitmq: versionOf(['dpkg-query'], ['-W', '-f', '${Version}', 'rabbitmq-server'], /(.+)/),
      kafka: versionOf(['node'], ['scripts/kafka.mjs', '--version'], /(.+)/),
      rocketmq: versionOf(['node'], ['scripts/rocketmq.mjs', '--version'], /(.+)/),
      java: versionOf(['java'], ['--version'], /([\d.]+)/),
      nats: versionOf(['nats-server'], ['--version'], /v([\d.]+)/),
    },
  };
}

/** Of the sources that are measured, and whether they were changed since; `unknown` outside a clone. */
export function describeCommit(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const isChanged = git('status', '--porcelain', '--', ...SOURCES) !== '';
    return git('rev-parse', '--short=10', 'HEAD') + (isChanged ? ' and what was not committed' : '');
  } catch {
    return 'unknown';
  }
}

/** What a measurement depends on. */
const SOURCES = ['apps/broker', 'bench', 'libs', 'package-lock.json', ':!bench/results'];

function versionOf(programs: readonly string[], args: readonly string[], pattern: RegExp): string {
  try {
    const output = execFileSync(findProgram(programs, programs[0] ?? ''), args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return pattern.exec(output)?.[1] ?? output.trim();
  } catch {
    // Not here; the rows of this peer say the same.
    return 'not installed';
  }
}
