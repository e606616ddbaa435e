import { Injectable } from '@nestjs/common';
import type { Verdict } from '#libs/contracts';
import { verdictOn } from './checks.js';
import { ReadBooks } from './read-books.js';
import { ReadLog } from './read-log.js';
import { ReadStock } from './read-stock.js';
import type { Demand, VerdictSnapshot } from './snapshot.js';

/**
 * Reads all books and says whether they agree. The three stores cannot be read at one instant: while
 * orders are under way the verdict may fail for a moment, and says so under `quiet`. Ask again.
 */
@Injectable()
export class GiveVerdict {
  /** A verdict reads everything: callers that ask for the same one at the same time share it. */
  private readonly underWay = new Map<string, Promise<Verdict>>();

  constructor(
    private readonly readBooks: ReadBooks,
    private readonly readStock: ReadStock,
    private readonly readLog: ReadLog,
  ) {}

  execute(demand: Demand | undefined): Promise<Verdict> {
    const question = JSON.stringify(demand ?? null);
    let verdict = this.underWay.get(question);
    if (verdict === undefined) {
      verdict = this.read(demand)
        .then(verdictOn)
        .finally(() => this.underWay.delete(question));
      this.underWay.set(question, verdict);
    }
    return verdict;
  }

  private async read(demand: Demand | undefined): Promise<VerdictSnapshot> {
    // Quiet first: what is at rest then is at rest in the books read after it.
    const broker = await this.readLog.state();
    const accepted = await this.readLog.acceptedOrders();
    const books = await this.readBooks.execute(demand);
    const redis = await this.readStock.execute(books.ticketTypes.map(({ ticketTypeId }) => ticketTypeId));
    return {
      ticketTypes: books.ticketTypes.map((type) => ({ ...type, redis: redis.get(type.ticketTypeId) })),
      demand: books.demand,
      orders: { ...books.orders, ...accepted },
      money: books.money,
      effects: books.effects,
      broker,
    };
  }
}
