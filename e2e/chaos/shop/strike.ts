import { setTimeout as wait } from 'node:timers/promises';
import type { Struck } from './checker/history.js';
import { PROCESSES, type LinkName, type ProcessName } from './links.js';
import type { ShopStrike } from './nemesis.js';
import type { ShopUnderChaos } from './shop-under-chaos.js';

/** The launcher waits for up to ten seconds before it starts what keeps ending. */
const AGAIN_WITHIN_MS = 30_000;
/** A process that is not ready by then may be struck again: what it needs may be away for longer. */
const READY_WITHIN_MS = 15_000;
const HEALED_WITHIN_MS = 60_000;

/** Does what the nemesis has planned, and remembers from when to when. */
export class Striking {
  readonly struck: Struck[] = [];
  /** What is to be undone, should the run end before its time. */
  private readonly healing = new Set<() => void>();
  private readonly underWay: Promise<void>[] = [];
  private readonly stranded = new Set<LinkName>();

  constructor(
    private readonly shop: ShopUnderChaos,
    private readonly clock: () => number,
  ) {}

  /** Resolves when the victim is well again. */
  async strike(strike: ShopStrike): Promise<void> {
    const { victim, how } = strike;
    const struck: Struck = { victim, how, fromMs: this.clock(), untilMs: Infinity };
    if (how === 'step') struck.stepMs = strike.stepMs;
    this.struck.push(struck);
    try {
      await this.does(strike);
    } finally {
      struck.untilMs = this.clock();
    }
  }

  /** Strikes without waiting for it; `settled` does. */
  soon(strike: ShopStrike): void {
    this.underWay.push(this.strike(strike));
  }

  /** Resolves when all that `soon` began is over. */
  async settled(): Promise<void> {
    await Promise.all(this.underWay.splice(0));
  }

  /** Undoes all that is still done; the names of the processes that are not ready long after. */
  async heal(): Promise<ProcessName[]> {
    for (const undo of this.healing) undo();
    this.healing.clear();
    // No network keeps half-open connections for ever.
    for (const name of this.stranded) {
      const nowMs = this.clock();
      this.struck.push({ victim: `link:${name}`, how: 'reset', fromMs: nowMs, untilMs: nowMs });
      this.shop.link(name).cut();
    }
    this.stranded.clear();
    return this.shop.untilReady(PROCESSES, HEALED_WITHIN_MS);
  }

  private async does(strike: ShopStrike): Promise<void> {
    const { shop } = this;
    switch (strike.how) {
      case 'kill':
        await shop.processes.kill(strike.process, AGAIN_WITHIN_MS);
        await shop.untilReady([strike.process], READY_WITHIN_MS);
        return;
      case 'freeze':
        return this.during(strike.forMs, shop.processes.freeze(strike.process));
      case 'fill':
        shop.disks.fill(strike.disk);
        return this.during(strike.forMs, () => shop.disks.free(strike.disk));
      case 'step':
        shop.setClock(strike.service, strike.stepMs);
        return this.during(strike.forMs, () => shop.setClock(strike.service, 0));
      default:
        return this.breaks(strike);
    }
  }

  private async breaks(strike: Extract<ShopStrike, { link: string }>): Promise<void> {
    const link = this.shop.link(strike.link);
    switch (strike.how) {
      case 'reset':
        link.cut();
        return;
      case 'strand':
        link.strand();
        this.stranded.add(strike.link);
        return;
      case 'stall':
        link.stall();
        return this.during(strike.forMs, () => link.resume());
      case 'refuse':
        link.refuse();
        return this.during(strike.forMs, () => link.resume());
      case 'lose-answers':
        link.loseAnswers();
        return this.during(strike.forMs, () => link.resume());
    }
  }

  private async during(forMs: number, undo: () => void): Promise<void> {
    this.healing.add(undo);
    await wait(forMs);
    if (this.healing.delete(undo)) undo();
  }
}
