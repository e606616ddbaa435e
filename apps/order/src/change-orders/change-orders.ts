import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { paymentTimeoutTimerId } from '#libs/contracts';
import { MessageBus, WriteRaceLost } from '#libs/messaging';
import { CLOCK, LOGGER, type Clock, type DatabaseTransaction } from '#libs/service-kit';
import { orderContested } from '../domain/errors.js';
import { decide, type Decision, type OrderChange, type OrderEvent } from '../domain/order-state.js';
import type { Order } from '../domain/order.js';
import { OrderStore } from '../order-store/order-store.js';
import { announcement } from './announcement.js';

/** Something that happened to an order. */
export type Happening = { orderNo: string; event: OrderEvent };
/** The decision that stands, and the order as it was when it was made. Undefined: the order is not written (yet). */
export type Outcome = { order: Order; decision: Decision } | undefined;

type Step = { order: Order; change: OrderChange };

/** Each lost race means that somebody else moved the order on; an order has fewer states than this. */
const MAX_ROUNDS = 6;
export const PRODUCER_GROUP = 'order';

/**
 * Moves orders along the state machine: read, decide, and write every change together with its
 * message. A lost race is not an error: the order is read again and the decision made anew, because the
 * winner may have turned "pay it" into "refund it".
 */
@Injectable()
export class ChangeOrders {
  constructor(
    private readonly store: OrderStore,
    private readonly bus: MessageBus,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** One event. */
  async one(orderNo: string, event: OrderEvent): Promise<Outcome> {
    const [outcome] = await this.execute([{ orderNo, event }]);
    return outcome;
  }

  /**
   * Many events, with one transaction for all changes where nobody interferes. The outcomes come in the
   * order of the events; an order that appears twice gets its events one after the other.
   *
   * @throws when a change could not be written or announced; what was changed until then stays, and a repeat finds it done.
   */
  async execute(happenings: readonly Happening[]): Promise<Outcome[]> {
    const outcomes = new Array<Outcome>(happenings.length);
    let waiting = happenings.map((happening, index) => ({ ...happening, index }));
    while (waiting.length > 0) {
      const seen = new Set<string>();
      const now = waiting.filter(({ orderNo }) => !seen.has(orderNo) && seen.add(orderNo));
      const settled = await this.settle(now);
      now.forEach(({ index }, position) => (outcomes[index] = settled[position]));
      waiting = waiting.filter((happening) => !now.includes(happening));
    }
    return outcomes;
  }

  /** Events of different orders. */
  private async settle(happenings: readonly Happening[]): Promise<Outcome[]> {
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const orders = await this.store.find(happenings.map(({ orderNo }) => orderNo));
      const outcomes = happenings.map(({ orderNo, event }): Outcome => {
        const order = orders.get(orderNo);
        return order && { order, decision: decide(order, event) };
      });
      const steps = outcomes.flatMap((outcome) =>
        outcome?.decision.do === 'change' ? [{ order: outcome.order, change: outcome.decision.change }] : [],
      );
      if (steps.length === 0 || (await this.write(steps))) return outcomes;
      // One contested order must not hold up the others: each on its own.
      if (happenings.length > 1) return this.settleOneByOne(happenings);
    }
    throw orderContested(happenings[0]?.orderNo ?? '');
  }

  private async settleOneByOne(happenings: readonly Happening[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const happening of happenings) outcomes.push(...(await this.settle([happening])));
    return outcomes;
  }

  /** False when another writer came first; nothing has happened then. */
  private async write(steps: readonly Step[]): Promise<boolean> {
    const at = new Date(this.clock.now()).toISOString();
    try {
      await this.bus.transactional(
        PRODUCER_GROUP,
        steps.map(({ order, change }) => announcement(order, change, at)),
        (tx?: DatabaseTransaction) =>
          this.store.change(
            steps.map(({ order, change }) => ({ orderNo: order.orderNo, from: order.status, change })),
            at,
            tx,
          ),
      );
    } catch (error) {
      if (error instanceof WriteRaceLost) return false;
      throw error;
    }
    await this.recallTimers(steps);
    return true;
  }

  /** An order that no longer waits for a payment needs no timeout. */
  private async recallTimers(steps: readonly Step[]): Promise<void> {
    const timerIds = steps
      .filter(({ order, change }) => order.status === 'PENDING_PAYMENT' && !isTimeout(change))
      .map(({ order }) => paymentTimeoutTimerId(order.orderNo));
    const recalls = await Promise.allSettled(timerIds.map((timerId) => this.bus.recall(timerId)));
    for (const recall of recalls) {
      // Not a failure of the change: a timer that fires after all finds nothing to do.
      if (recall.status === 'rejected') this.logger.warn({ err: recall.reason }, 'a timer was not recalled');
    }
  }
}

const isTimeout = (change: OrderChange): boolean =>
  change.to === 'CANCELLED' && change.reason === 'payment-timeout';
