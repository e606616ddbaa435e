import { PaymentSucceeded } from '#libs/contracts';
import { envelope, MessageBus } from '#libs/messaging';
import { REPORT_AGAIN_AFTER_MS, type Case, type Clock, type ReconciliationRule } from '#libs/service-kit';
import { PrismaClient } from '#prisma/payment';

type Dependencies = {
  database: PrismaClient;
  bus: MessageBus;
  clock: Clock;
  /** How long a captured payment may be without an answer. */
  afterMs: number;
};
type Unanswered = Case & { orderNo: string; amountMinor: bigint; currency: string } & {
  heardAt: Date;
  capturedAt: Date | null;
};

/**
 * `payment-unanswered`: captured, and the order has neither said that it is paid by it (`answered_at`, see
 * `OrderPaidConsumer`) nor asked for a refund. It is announced again, marked as `unanswered`, so that an order which
 * has dealt with it says so again. The index `payments_unanswered_idx` holds just these rows.
 */
export function paymentRules({
  database,
  bus,
  clock,
  afterMs,
}: Dependencies): ReconciliationRule<Unanswered>[] {
  return [
    {
      name: 'payment-unanswered',
      find: (limit) =>
        database.$queryRawUnsafe<Unanswered[]>(
          `SELECT p.id::text AS key, p.order_no AS "orderNo", p.amount_minor AS "amountMinor", p.currency,
                  p.updated_at AS "heardAt", p.captured_at AS "capturedAt",
                  coalesce(p.reconciled_at >= p.updated_at, false) AS "wasRepaired"
           FROM payments AS p
           WHERE p.status = 'SUCCEEDED' AND (p.answered_at IS NULL OR p.answered_at < p.updated_at)
             AND p.updated_at < $1::timestamptz
             AND (p.reconciled_at IS NULL OR p.reconciled_at < p.updated_at OR p.reconciled_at < $2::timestamptz)
             AND NOT EXISTS (SELECT 1 FROM refunds AS r WHERE r.payment_id = p.id)
           ORDER BY p.updated_at LIMIT $3::int`,
          new Date(clock.now() - afterMs),
          new Date(clock.now() - REPORT_AGAIN_AFTER_MS),
          limit,
        ),
      repair: async (found) => {
        await bus.sendBatch(
          found.map(({ key: paymentId, orderNo, amountMinor, currency, heardAt, capturedAt }) =>
            envelope(PaymentSucceeded, {
              ...{ paymentId, orderNo, amountMinor: Number(amountMinor), currency },
              succeededAt: heardAt.toISOString(),
              ...(capturedAt !== null && { capturedAt: capturedAt.toISOString() }),
              unanswered: true,
            }),
          ),
        );
      },
      mark: async (paymentIds) => {
        await database.$executeRawUnsafe(
          'UPDATE payments SET reconciled_at = $1::timestamptz WHERE id = ANY($2::uuid[])',
          new Date(clock.now()),
          paymentIds,
        );
      },
    },
  ];
}
