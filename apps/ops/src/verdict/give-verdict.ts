import { Injectable } from '@nestjs/common';
import type { Verdict } from '#libs/contracts';
import { verdictOn, type CheckName } from './finding.js';
import { ReadBooks, type Books } from './read-books.js';
import { ReadLog } from './read-log.js';
import { ReadStock } from './read-stock.js';
import { unrest } from './rules/quiet-rules.js';
import {
  conservation,
  oversells,
  undersell,
  type Demand,
  type TicketTypeFacts,
} from './rules/stock-rules.js';

/**
 * Reads all books and says whether they agree. The stores cannot be read at one instant: while
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
      verdict = this.read(demand).finally(() => this.underWay.delete(question));
      this.underWay.set(question, verdict);
    }
    return verdict;
  }

  private async read(demand: Demand | undefined): Promise<Verdict> {
    // Quiet first: what is at rest then is at rest in the books read after it.
    const rest = unrest(await this.readLog.state());
    const { accepted, findings: lost } = await this.readLog.acceptedOrders();
    const books = await this.readBooks.execute(demand);
    const stock = await this.readStock.execute(books.ticketTypes, demand);
    const ticketTypes = books.ticketTypes.map((type) => ({
      ...type,
      redis: stock.redis.get(type.ticketTypeId),
    }));
    const returnedSince = books.returnedSince + stock.returnedSince;
    const undersold = undersell(ticketTypes, demand && { ...demand, returnedSince });
    return verdictOn(
      [
        ...oversells(ticketTypes),
        ...conservation(ticketTypes),
        ...undersold.findings,
        ...lost,
        ...books.findings,
        ...stock.findings,
        ...rest.findings,
      ],
      { ...notesOn(books, ticketTypes, accepted), 'no-undersell': undersold.note, quiet: rest.note },
    );
  }
}

/** What was looked at, for checks that hold; and what nobody can look at from here. */
function notesOn(
  { byStatus, capturedPayments, hasProviderBook, hasMailbox }: Books,
  ticketTypes: readonly TicketTypeFacts[],
  accepted: number,
): Record<Exclude<CheckName, 'no-undersell' | 'quiet'>, string> {
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
  const inRedis = (part: 'free' | 'held' | 'sold') => sum(ticketTypes.map((type) => type.redis?.[part] ?? 0));
  const sold = sum(ticketTypes.map((type) => type.ledgerSold));
  const states = Object.entries(byStatus).map(([status, count]) => `${count} ${status}`);
  return {
    'no-oversell': `${sold} of ${sum(ticketTypes.map((type) => type.quantity))} tickets sold, ${ticketTypes.length} ticket types`,
    conservation: `${inRedis('free')} free + ${inRedis('held')} held + ${inRedis('sold')} sold in Redis, the same in the ledger`,
    'no-lost-order': `${accepted} accepted in the log; rows: ${states.join(', ') || 'none'}`,
    'money-equals-tickets':
      `${capturedPayments} captured payments, each answered for; ` +
      (hasProviderBook
        ? "the same in the provider's book"
        : "not compared with the provider's book, which is not here"),
    'effects-once':
      `${byStatus['PAID'] ?? 0} PAID orders, each deducted, confirmed and notified once per channel; ` +
      (hasMailbox ? 'emails arrived once' : 'not compared with mailboxes, which are not here'),
    terms: 'limits, prices and times kept; every hold has its order; whoever lost an order was told',
  };
}
