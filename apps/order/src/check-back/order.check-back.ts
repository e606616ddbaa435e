import { Inject, Injectable } from '@nestjs/common';
import { CheckBack, type CheckedMessage, type TransactionDecision } from '#libs/messaging';
import { CLOCK, type Clock } from '#libs/service-kit';
import { PRODUCER_GROUP } from '../change-orders/change-orders.js';
import { ROLLBACK_AFTER_MS } from '../domain/write-fence.js';
import { OrderBook } from '../order-book/order-book.js';
import { claimOf, holds } from './claim.js';

/**
 * Answers for half messages whose sender died: did the local write happen?
 *
 * A transaction's write is all or nothing, and every message of it claims one history entry. All
 * entries there: it was written. One missing: it was not, and can no longer be once the fence has passed.
 */
@Injectable()
export class OrderCheckBack {
  constructor(
    private readonly book: OrderBook,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @CheckBack(PRODUCER_GROUP)
  async check(_transactionId: string, messages: readonly CheckedMessage[]): Promise<TransactionDecision> {
    const claims = messages.flatMap((message) => claimOf(message) ?? []);
    // Only messages that somebody else put into this producer group make no claim: not ours to decide.
    if (claims.length === 0) return 'unknown';
    const orders = await this.book.find([...new Set(claims.map((claim) => claim.orderNo))]);
    if (claims.every((claim) => holds(claim, orders.get(claim.orderNo)))) return 'commit';
    const preparedAtMs = Math.max(...claims.map((claim) => Date.parse(claim.at)));
    return this.clock.now() - preparedAtMs > ROLLBACK_AFTER_MS ? 'rollback' : 'unknown';
  }
}
