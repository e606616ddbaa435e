import { RefundRequested } from '#libs/contracts';
import { envelope, MessageBus, type Envelope } from '#libs/messaging';
import { REPORT_AGAIN_AFTER_MS, type Case, type Clock, type ReconciliationRule } from '#libs/service-kit';
import { PrismaClient } from '#prisma/order';
import { announcementAgain } from '../change-orders/announcement.js';
import { ChangeOrders } from '../change-orders/change-orders.js';
import type { Order } from '../domain/order.js';
import { OrderStore } from '../order-store/order-store.js';

type Dependencies = {
  database: PrismaClient;
  store: OrderStore;
  changeOrders: ChangeOrders;
  bus: MessageBus;
  clock: Clock;
  /** How long something has to be overdue. */
  afterMs: number;
};

/**
 * What can be seen to be missing in the orders alone:
 *
 * - `order-overdue`: still waits for a payment long after its time. Its timer was lost, or the message that should have made
 *   it. It is cancelled as the timer would have done; its tickets go back by `order.cancelled`.
 * - `refund-unanswered`: REFUNDING for longer than a refund takes. The request is sent again; the payment service
 *   refunds once however often it is asked, and says so again when it has.
 */
export function orderRules(dependencies: Dependencies): ReconciliationRule[] {
  const { store, changeOrders, bus } = dependencies;
  return [
    {
      name: 'order-overdue',
      ...cases(dependencies, 'PENDING_PAYMENT', 'pay_before'),
      repair: async (found) => {
        await changeOrders.execute(
          found.map(({ key: orderNo }) => ({ orderNo, event: { type: 'payment-timed-out' } })),
        );
      },
    },
    {
      name: 'refund-unanswered',
      ...cases(dependencies, 'REFUNDING', 'updated_at'),
      repair: async (found) => {
        const orders = await store.find(found.map(({ key }) => key));
        await bus.sendBatch([...orders.values()].flatMap((order) => unansweredRequestOf(order) ?? []));
      },
    },
  ];
}

/** The request for the refund as it was sent, or should have been; and that nobody has answered it. */
function unansweredRequestOf(order: Order): Envelope | undefined {
  const request = announcementAgain(order);
  if (request?.contract.name !== RefundRequested.name) return undefined;
  const payload = RefundRequested.payload.parse(request.payload);
  return envelope(RefundRequested, { ...payload, unanswered: true });
}

/** Orders of a status whose `since` lies too far back. One that changed after it was marked is a new case. */
function cases(
  { database, clock, afterMs }: Dependencies,
  status: string,
  since: 'pay_before' | 'updated_at',
): Pick<ReconciliationRule, 'find' | 'mark'> {
  return {
    find: (limit) =>
      database.$queryRawUnsafe<Case[]>(
        `SELECT order_no AS key, coalesce(reconciled_at >= updated_at, false) AS "wasRepaired" FROM orders
         WHERE status = $1 AND ${since} < $2::timestamptz
           AND (reconciled_at IS NULL OR reconciled_at < updated_at OR reconciled_at < $3::timestamptz)
         ORDER BY ${since} LIMIT $4::int`,
        status,
        new Date(clock.now() - afterMs),
        new Date(clock.now() - REPORT_AGAIN_AFTER_MS),
        limit,
      ),
    mark: async (orderNos) => {
      await database.$executeRawUnsafe(
        'UPDATE orders SET reconciled_at = $1::timestamptz WHERE order_no = ANY($2::text[])',
        new Date(clock.now()),
        orderNos,
      );
    },
  };
}
