import { Inject, Injectable } from '@nestjs/common';
import { OrderSubmitted } from '#libs/contracts';
import { BROKER_PORT, type BrokerPort, type StoredMessage } from '#libs/messaging';
import { PrismaClient } from '#prisma/ops';
import { WITHOUT_ROW } from './books.sql.js';
import type { BrokerFacts, Findings } from './snapshot.js';

/** Messages in one read: a few hundred kilobytes at a time, whatever the topic holds. */
const BATCH_MESSAGES = 2_000;
const MAX_EXAMPLES = 3;

/** What the broker knows: what was promised to buyers, and what is still under way. */
@Injectable()
export class ReadLog {
  constructor(
    @Inject(BROKER_PORT) private readonly broker: BrokerPort,
    private readonly prisma: PrismaClient,
  ) {}

  /**
   * Holds every retained `order.submitted` against the orders' rows. What retention has dropped cannot
   * be asked for any more; it had its row when it was younger.
   */
  async acceptedOrders(): Promise<{ accepted: number; missing: Findings }> {
    let accepted = 0;
    let missing = 0;
    const examples: string[] = [];
    for await (const messages of this.scan(OrderSubmitted.topic)) {
      const orderNos = messages.flatMap(({ tag, key }) =>
        tag === OrderSubmitted.tag && key !== undefined ? [key] : [],
      );
      if (orderNos.length === 0) continue;
      accepted += orderNos.length;
      const rows = await this.prisma.$queryRawUnsafe<{ order_no: string }[]>(WITHOUT_ROW, orderNos);
      missing += rows.length;
      examples.push(...rows.slice(0, MAX_EXAMPLES - examples.length).map((row) => row.order_no));
    }
    return { accepted, missing: { count: missing, examples } };
  }

  async state(): Promise<BrokerFacts> {
    const { admin } = this.broker;
    // Groups last: a timer that fires or a transaction that is committed meanwhile is in their lag.
    const [timers, transactions, groups] = await Promise.all([
      admin.timers(),
      admin.transactions(),
      admin.groups(),
    ]);
    return {
      // A broadcast member starts at the end and keeps no position: it cannot lag.
      lag: groups.filter(({ mode }) => mode === 'shared').map(({ group, lag }) => ({ group, lag })),
      pastDueTimers: timers.pastDue,
      undecidedTransactions: transactions.pending,
      parkedTransactions: transactions.parked.length,
      deadLetters: groups.map(({ group, deadLetters }) => ({ group, count: deadLetters })),
    };
  }

  /** Every retained message of a topic up to its present end, in batches. */
  private async *scan(topic: string): AsyncGenerator<StoredMessage[]> {
    const known = (await this.broker.admin.topics()).find((info) => info.topic === topic);
    for (const { partition, startOffset, endOffset } of known?.partitions ?? []) {
      for (let offset = startOffset; offset < endOffset;) {
        const messages = await this.broker.admin.read(topic, partition, offset, BATCH_MESSAGES);
        const last = messages.at(-1);
        // Retention overtook the scan and nothing is left.
        if (last === undefined) break;
        yield messages;
        offset = last.offset + 1;
      }
    }
  }
}
