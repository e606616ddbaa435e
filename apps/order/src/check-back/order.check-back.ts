import { Injectable } from '@nestjs/common';
import { PrismaClient } from '#prisma/order';
import { CheckBack, decideByWrite, type CheckedMessage, type TransactionDecision } from '#libs/messaging';
import { writesHaveEnded } from '#libs/service-kit';
import { PRODUCER_GROUP } from '../change-orders/change-orders.js';
import { OrderStore } from '../order-store/order-store.js';
import { claimOf, holds } from './claim.js';

/**
 * Answers for half messages whose sender died: did the local write happen?
 *
 * A transaction's write is all or nothing, and every message of it claims one history entry, at the one instant of
 * the transaction. All entries there: it was written. One missing: it was not.
 */
@Injectable()
export class OrderCheckBack {
  constructor(
    private readonly store: OrderStore,
    private readonly database: PrismaClient,
  ) {}

  @CheckBack(PRODUCER_GROUP)
  async check(_transactionId: string, messages: readonly CheckedMessage[]): Promise<TransactionDecision> {
    const claims = messages.flatMap((message) => claimOf(message) ?? []);
    // Only messages that somebody else put into this producer group make no claim: not ours to decide.
    if (claims.length === 0) return 'unknown';
    const orderNos = [...new Set(claims.map(({ orderNo }) => orderNo))];
    const instants = [...new Set(claims.map(({ at }) => at))];
    return decideByWrite({
      isWritten: async () => {
        const orders = await this.store.find(orderNos);
        return claims.every((claim) => holds(claim, orders.get(claim.orderNo)));
      },
      hasEnded: async () => {
        for (const at of instants) if (!(await writesHaveEnded(this.database, at))) return false;
        return true;
      },
    });
  }
}
