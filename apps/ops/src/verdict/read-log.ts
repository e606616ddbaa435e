import { Inject, Injectable } from '@nestjs/common';
import { OrderSubmitted } from '#libs/contracts';
import { BROKER_PORT, type BrokerPort, type StoredMessage } from '#libs/messaging';
import { PrismaClient } from '#prisma/ops';
import { Gathered, type Finding } from './finding.js';
import { WITHOUT_ROW } from './rules/order-rules.js';
import { UNSENT, type BrokerState } from './rules/quiet-rules.js';

/** Messages in one read: a few hundred kilobytes at a time, whatever the topic holds. */
const BATCH_MESSAGES = 2_000;

const MISSING = {
  check: 'no-lost-order',
  rule: 'accepted-without-row',
  says: 'orders accepted without an order row',
} as const;

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
  async acceptedOrders(): Promise<{ accepted: number; findings: Finding[] }> {
    const gathered = new Gathered();
    let accepted = 0;
    for await (const messages of this.scan(OrderSubmitted.topic)) {
      const orderNos = messages.flatMap(({ tag, key }) =>
        tag === OrderSubmitted.tag && key !== undefined ? [key] : [],
      );
      if (orderNos.length === 0) continue;
      accepted += orderNos.length;
      gathered.add(MISSING, await this.withoutRow(orderNos));
    }
    return { accepted, findings: gathered.findings };
  }

  /** Those of the order numbers that have no order row. */
  async withoutRow(orderNos: readonly string[]): Promise<string[]> {
    const rows = await this.prisma.$queryRawUnsafe<{ order_no: string }[]>(WITHOUT_ROW, orderNos);
    return rows.map((row) => row.order_no);
  }

  async state(): Promise<BrokerState> {
    const { admin } = this.broker;
    // Groups last: what is sent, a timer that fires or a transaction that is committed meanwhile is in their lag.
    const outboxes = await this.prisma.$queryRawUnsafe<BrokerState['outboxes']>(UNSENT);
    const timers = await admin.timers();
    const transactions = await admin.transactions();
    return { outboxes, timers, transactions, groups: await admin.groups() };
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
