import { setTimeout as wait } from 'node:timers/promises';
import { ShopClient } from '../../../load/shop-client.js';
import { tokenSigner } from '../../../verdict/shop-access.js';
import { diceOf } from '../../dice.js';
import { readBooks } from '../books.js';
import { Buyers } from '../buyers.js';
import { check } from '../checker/check.js';
import { VIOLATIONS, type ViolationKind } from '../checker/violation.js';
import { openSales } from '../open-sales.js';
import type { ShopUnderChaos } from '../shop-under-chaos.js';
import { Striking } from '../strike.js';
import { FAULT_NAMES, interceptionOf, type Fault } from './faults.js';
import { travel, type Travelling } from './journeys.js';
import { STEPS, type Step } from './steps.js';

/** Until the step is taken. */
const REACHED_WITHIN_MS = 40_000;
const FINISH_WITHIN_MS = 90_000;
const QUIET_WITHIN_MS = 180_000;
const TICKETS = 1_000;

export type CellResult = {
  step: string;
  fault: Fault;
  /** `not reached`: the step was never taken, so nothing is proved. */
  result: 'held' | 'broken' | 'not reached';
  violations: string[];
};
export type Cell = { step: Step; fault: Fault };

export const ALL_CELLS: readonly Cell[] = STEPS.flatMap((step) =>
  FAULT_NAMES.map((fault) => ({ step, fault })),
);

/**
 * Goes through cells in one shop, a step at a time: the fault is armed, somebody takes the way that leads there, and
 * the next cell begins when the fault has happened and is over. After the cells of each step the shop comes to rest, its
 * verdict is asked, and every answer so far is held against the books.
 */
export async function runCells(
  shop: ShopUnderChaos,
  cells: readonly Cell[],
  paymentTimeoutMs: number,
  say: (line: string) => void,
): Promise<CellResult[]> {
  const run = await MatrixRun.begin(shop, paymentTimeoutMs);
  try {
    const results: CellResult[] = [];
    for (const step of new Set(cells.map((cell) => cell.step))) {
      const group = await run.group(cells.filter((cell) => cell.step === step));
      for (const { fault, result, violations } of group)
        say([`${result.padEnd(11)} ${step.name}, ${fault}`, ...violations].join('\n    '));
      results.push(...group);
    }
    return results;
  } finally {
    await run.end();
  }
}

class MatrixRun {
  private readonly known = new Set<string>();
  private cells = 0;

  private constructor(
    private readonly shop: ShopUnderChaos,
    private readonly client: ShopClient,
    private readonly travelling: Travelling,
    private readonly ticketTypes: Awaited<ReturnType<typeof openSales>>,
    private readonly striking: Striking,
    private readonly clock: () => number,
    private readonly deadline: { atMs: number },
  ) {}

  static async begin(shop: ShopUnderChaos, paymentTimeoutMs: number): Promise<MatrixRun> {
    const client = new ShopClient(shop.buyersUrl);
    const direct = new ShopClient(shop.url);
    const sign = tokenSigner(shop.secret, 12 * 3_600);
    const adminToken = sign('chaos', ['admin']);
    const ticketTypes = await openSales(direct, adminToken, { types: 1, ticketsEach: TICKETS });
    const beganAt = performance.now();
    const clock = (): number => performance.now() - beganAt;
    const deadline = { atMs: Infinity };
    const buyers = new Buyers({
      ...{ shop: client, sign, dice: diceOf(1), clock, paymentTimeoutMs },
      deadlineMs: () => deadline.atMs,
    });
    const ticketTypeId = ticketTypes[0]?.ticketTypeId ?? '';
    const striking = new Striking(shop, clock);
    const travelling = { shop, buyers, striking, direct, adminToken, ticketTypeId };
    return new MatrixRun(shop, client, travelling, ticketTypes, striking, clock, deadline);
  }

  async group(cells: readonly Cell[]): Promise<CellResult[]> {
    this.deadline.atMs = Infinity;
    const journeys: Promise<void>[] = [];
    const reached: { cell: Cell; buyer: string; wasReached: boolean }[] = [];
    for (const cell of cells) {
      // What Redis forgets must be in the ledger by then.
      if (cell.step.journey === 'redis-forgets') await Promise.all(journeys);
      const buyer = `cell-${(this.cells += 1)}`;
      reached.push({ cell, buyer, wasReached: await this.cell(cell, buyer, journeys) });
    }
    const notReady = await this.striking.heal();
    this.deadline.atMs = this.clock() + FINISH_WITHIN_MS;
    const stuck = (await Promise.allSettled(journeys)).flatMap((journey) =>
      journey.status === 'rejected' ? [(journey.reason as Error).message] : [],
    );
    const violations = [...stuck, ...(await this.newViolations(notReady))];
    const ofCell = reached.map(({ buyer }) => {
      const orders = [...this.travelling.buyers.accepted].flatMap(([no, whose]) =>
        whose === buyer ? [no] : [],
      );
      return violations.filter((text) => [buyer, ...orders].some((name) => names(text, name)));
    });
    // What names none of them may be any one's doing.
    const anybodys = violations.filter((text) => !ofCell.flat().includes(text));
    return reached.map(({ cell, wasReached }, index) => {
      const broken = [...(ofCell[index] ?? []), ...anybodys];
      const result = broken.length > 0 ? 'broken' : wasReached ? 'held' : 'not reached';
      return { step: cell.step.name, fault: cell.fault, result, violations: broken };
    });
  }

  async end(): Promise<void> {
    await Promise.all([this.client.close(), this.travelling.direct.close()]);
  }

  /** Whether the step was reached. */
  private async cell({ step, fault }: Cell, buyer: string, journeys: Promise<void>[]): Promise<boolean> {
    const link = this.shop.link(step.link);
    const sprung = link.intercept(step.pattern, interceptionOf(step, fault, this.striking)).then(() => true);
    const journey = travel(step.journey, buyer, this.travelling);
    journey.catch(() => undefined); // told at the end of the group
    journeys.push(journey);
    const wasReached = await Promise.race([sprung, wait(REACHED_WITHIN_MS, false)]);
    link.disarm();
    await this.striking.settled();
    return wasReached;
  }

  private async newViolations(notReady: readonly string[]): Promise<string[]> {
    const { buyers, direct } = this.travelling;
    const books = await readBooks(this.shop, this.ticketTypes, QUIET_WITHIN_MS);
    this.deadline.atMs = Infinity;
    await buyers.lookAgain(direct);
    const { violations } = check({
      events: buyers.events,
      struck: this.striking.struck,
      books,
      notReady,
      ends: this.shop.ends,
    });
    const texts = (Object.keys(violations) as ViolationKind[]).flatMap((kind) =>
      (violations[kind]?.examples ?? []).map((example) => `${kind} (${VIOLATIONS[kind]}): ${example}`),
    );
    const fresh = texts.filter((text) => !this.known.has(text));
    for (const text of fresh) this.known.add(text);
    return fresh;
  }
}

const names = (text: string, name: string): boolean => new RegExp(`${name}(?![0-9])`).test(text);
