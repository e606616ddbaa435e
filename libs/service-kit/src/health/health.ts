import { Controller, Get, Inject, Injectable } from '@nestjs/common';
import { Public } from '../auth/decorators.js';
import { HttpProblem } from '../problem/problem.js';

/** Resolves when the dependency works; rejects with the reason when it does not. */
export type HealthCheck = () => Promise<void>;

/** What hangs in this process so that only a new start cures it; undefined while nothing does. Must not ask anybody else. */
export type LifeSign = () => string | undefined;

/** A check that takes longer than this counts as failed: an orchestrator's probe would have given up too. */
const CHECK_TIMEOUT_MS = 2_000;

/** What the service needs to do its work. Anything may register a check. */
@Injectable()
export class Health {
  private readonly checks = new Map<string, HealthCheck>();
  private readonly lifeSigns = new Map<string, LifeSign>();
  private draining = false;

  register(name: string, check: HealthCheck): void {
    this.checks.set(name, check);
  }

  registerLifeSign(name: string, sign: LifeSign): void {
    this.lifeSigns.set(name, sign);
  }

  /** What hangs here, with its name; empty while the process is alive. */
  hangs(): string[] {
    return [...this.lifeSigns].flatMap(([name, sign]) => {
      const hang = sign();
      return hang === undefined ? [] : [`${name}: ${hang}`];
    });
  }

  /** From now on not ready, so that no new work is sent here while the rest is finished. */
  drain(): void {
    this.draining = true;
  }

  get isDraining(): boolean {
    return this.draining;
  }

  /** The checks that fail, with their reasons; empty when the service is ready. */
  async failures(): Promise<Record<string, string>> {
    if (this.draining) return { service: 'is shutting down' };
    const failures: Record<string, string> = {};
    await Promise.all(
      [...this.checks].map(async ([name, check]) => {
        try {
          await withDeadline(check());
        } catch (error) {
          failures[name] = error instanceof Error ? error.message : String(error);
        }
      }),
    );
    return failures;
  }

  names(): string[] {
    return [...this.checks.keys()];
  }
}

async function withDeadline(check: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${CHECK_TIMEOUT_MS} ms`)), CHECK_TIMEOUT_MS);
  });
  try {
    await Promise.race([check, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * `live`: the process answers and nothing of its own hangs. An event loop that hangs does not answer at all;
 * what others fail at never makes a service dead. `ready`: everything it depends on answers too.
 */
@Controller('health')
@Public()
export class HealthController {
  constructor(@Inject(Health) private readonly health: Health) {}

  /** @throws {HttpProblem} 503 `NOT_LIVE` naming what hangs. */
  @Get('live')
  live(): { status: 'ok' } {
    const hangs = this.health.hangs();
    if (hangs.length > 0) throw new HttpProblem(503, 'NOT_LIVE', hangs.join('; '));
    return { status: 'ok' };
  }

  /** @throws {HttpProblem} 503 `NOT_READY` naming what is missing. */
  @Get('ready')
  async ready(): Promise<{ status: 'ok'; checks: Record<string, 'ok'> }> {
    const failures = Object.entries(await this.health.failures());
    if (failures.length > 0) {
      const detail = failures.map(([name, reason]) => `${name}: ${reason}`).join('; ');
      throw new HttpProblem(503, 'NOT_READY', detail, { 'retry-after': '1' });
    }
    return {
      status: 'ok',
      checks: Object.fromEntries(this.health.names().map((name) => [name, 'ok' as const])),
    };
  }
}
