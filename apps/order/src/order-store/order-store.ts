import { Injectable } from '@nestjs/common';
import { PrismaClient } from '#prisma/order';
import { CancelReason } from '#libs/contracts';
import { WriteRaceLost } from '#libs/messaging';
import { Batcher, inTime, isUniqueViolation, type DatabaseTransaction } from '#libs/service-kit';
import { writtenStatus, type HistoryEntry, type Order } from '../domain/order.js';
import type { OrderChange, WrittenStatus } from '../domain/order-state.js';

type Row = Omit<
  NonNullable<Awaited<ReturnType<PrismaClient['order']['findUnique']>>>,
  'updatedAt' | 'reconciledAt'
>;

/** An order as it is first written: waiting for its payment, paid because it costs nothing, or rejected. */
export type NewOrder = Pick<
  Order,
  'orderNo' | 'buyerId' | 'ticketTypeId' | 'quantity' | 'totalMinor' | 'currency'
> & {
  status: 'PENDING_PAYMENT' | 'PAID' | 'REJECTED';
  submittedAt: string;
  /** Of one that waits for its payment. */
  payBefore?: string | undefined;
};

/** One conditional change: nothing happens to an order that has left `from`. */
export type OrderUpdate = { orderNo: string; from: WrittenStatus; change: OrderChange };

/** Orders of one statement of `read`. */
const MAX_READS = 100;

/**
 * The orders table. Both writes are all or nothing, over one order or five hundred, because each is
 * the local half of one transactional message: the check-back could not answer for half a batch.
 */
@Injectable()
export class OrderStore {
  private readonly reads = new Batcher(MAX_READS, async (orderNos: readonly string[]) => {
    const orders = await this.find(orderNos);
    return orderNos.map((orderNo) => orders.get(orderNo));
  });

  constructor(private readonly database: PrismaClient) {}

  /** The written ones of these orders, by number. */
  async find(orderNos: readonly string[]): Promise<Map<string, Order>> {
    // Not `findMany`: its IN list is another statement for every length, to be planned by client and server each time.
    const rows = await this.database.$queryRawUnsafe<Row[]>(
      `SELECT order_no AS "orderNo", buyer_id AS "buyerId", ticket_type_id AS "ticketTypeId", quantity,
              total_minor AS "totalMinor", currency, status, payment_id::text AS "paymentId", history,
              pay_before AS "payBefore", created_at AS "createdAt"
       FROM orders WHERE order_no = ANY($1::text[])`,
      orderNos,
    );
    return new Map(rows.map((row) => [row.orderNo, orderOf(row)]));
  }

  /** One order, for the many buyers who look at theirs again and again: those who look at the same time share a statement. */
  read(orderNo: string): Promise<Order | undefined> {
    return this.reads.add(orderNo);
  }

  /** Which of these orders are written. */
  async existing(orderNos: readonly string[]): Promise<Set<string>> {
    const rows = await this.database.$queryRawUnsafe<{ order_no: string }[]>(
      'SELECT order_no FROM orders WHERE order_no = ANY($1::text[])',
      orderNos,
    );
    return new Set(rows.map((row) => row.order_no));
  }

  /**
   * One page of a buyer's orders, newest first.
   * @param before position after which the page starts, in the same order
   */
  async page(
    buyerId: string,
    limit: number,
    before: { createdAtMs: number; orderNo: string } | undefined,
  ): Promise<Order[]> {
    const after =
      before === undefined
        ? {}
        : {
            OR: [
              { createdAt: { lt: new Date(before.createdAtMs) } },
              { createdAt: new Date(before.createdAtMs), orderNo: { gt: before.orderNo } },
            ],
          };
    const rows = await this.database.order.findMany({
      where: { buyerId, ...after },
      orderBy: [{ createdAt: 'desc' }, { orderNo: 'asc' }],
      take: limit,
    });
    return rows.map(orderOf);
  }

  /**
   * Writes all of them in one statement.
   *
   * A plain INSERT on purpose: with `ON CONFLICT DO NOTHING` some orders of a batch could be written and
   * others not, while the batch's messages are committed or rolled back together.
   *
   * @throws {WriteRaceLost} when one of them exists, or the write deadline has passed; nothing is written then.
   */
  async insert(
    orders: readonly NewOrder[],
    at: string,
    tx: DatabaseTransaction = this.database,
  ): Promise<void> {
    const column = <Field extends keyof NewOrder>(field: Field): NewOrder[Field][] =>
      orders.map((order) => order[field]);
    let written: number;
    try {
      written = await tx.$executeRawUnsafe(
        `WITH ${inTime('$9::text')}
         INSERT INTO orders (order_no, buyer_id, ticket_type_id, quantity, total_minor, currency, status,
                             history, pay_before, created_at, updated_at)
         SELECT o.order_no, o.buyer_id, o.ticket_type_id, o.quantity, o.total_minor, o.currency, o.status,
                jsonb_build_array(
                  jsonb_build_object('status', 'QUEUED', 'at', o.submitted_at),
                  jsonb_build_object('status', o.status, 'at', $9::text)),
                o.pay_before::timestamptz,
                $9::text::timestamptz, $9::text::timestamptz
         FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::text[], $7::text[],
                     $8::text[], $10::text[])
              AS o(order_no, buyer_id, ticket_type_id, quantity, total_minor, currency, status, submitted_at,
                   pay_before)
         WHERE (SELECT in_time.is_so FROM in_time)`,
        column('orderNo'),
        column('buyerId'),
        column('ticketTypeId'),
        column('quantity'),
        column('totalMinor'),
        column('currency'),
        column('status'),
        column('submittedAt'),
        at,
        orders.map(({ payBefore }) => payBefore ?? null),
      );
    } catch (error) {
      if (isUniqueViolation(error)) throw new WriteRaceLost({ cause: error });
      throw error;
    }
    if (written !== orders.length) throw new WriteRaceLost();
  }

  /**
   * Makes all changes, each on the condition that its order is still where it was read, and appends
   * each to its order's history.
   *
   * One statement, not a transaction around one: a COMMIT that the client sends would come after the deadline
   * was checked, and a client that froze in between would keep its rows, and the check-back, waiting. (With an
   * outbox there is no check-back to answer, and the statement is part of the transaction that has the messages.)
   * The rows are locked in the order of their numbers, so that batches which overlap cannot deadlock; the
   * last line is what makes it all or nothing.
   *
   * @throws {WriteRaceLost} when one of the orders has moved on, or the write deadline has passed; nothing is changed then.
   */
  async change(
    updates: readonly OrderUpdate[],
    at: string,
    tx: DatabaseTransaction = this.database,
  ): Promise<void> {
    const changed = await tx.$executeRawUnsafe(
      `WITH ${inTime('$6::text')},
       c AS MATERIALIZED (
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
                       AS c(order_no, current, next, payment_id, reason)),
       locked AS MATERIALIZED (
         SELECT 1 FROM orders AS o JOIN c USING (order_no)
         WHERE o.status = c.current AND (SELECT in_time.is_so FROM in_time)
         ORDER BY o.order_no FOR UPDATE OF o)
       UPDATE orders AS o
       SET status = c.next,
           payment_id = coalesce(c.payment_id::uuid, o.payment_id),
           history = o.history || jsonb_strip_nulls(
             jsonb_build_object('status', c.next, 'at', $6::text, 'reason', c.reason)),
           updated_at = $6::text::timestamptz
       FROM c
       WHERE o.order_no = c.order_no AND o.status = c.current
         AND (SELECT count(*) FROM locked) = $7::int`,
      updates.map((update) => update.orderNo),
      updates.map((update) => update.from),
      updates.map((update) => update.change.to),
      updates.map(({ change }) => ('paymentId' in change ? change.paymentId : null)),
      updates.map(({ change }) => ('reason' in change ? change.reason : null)),
      at,
      updates.length,
    );
    if (changed !== updates.length) throw new WriteRaceLost();
  }
}

function orderOf(row: Row): Order {
  const history = row.history as unknown as HistoryEntry[];
  const status = writtenStatus(row.status);
  const reason = status === 'CANCELLED' ? CancelReason.safeParse(history.at(-1)?.reason).data : undefined;
  return {
    orderNo: row.orderNo,
    buyerId: row.buyerId,
    ticketTypeId: row.ticketTypeId,
    quantity: row.quantity,
    totalMinor: Number(row.totalMinor),
    currency: row.currency,
    status,
    paymentId: row.paymentId ?? undefined,
    cancelReason: reason,
    history,
    payBeforeMs: row.payBefore?.getTime(),
    createdAtMs: row.createdAt.getTime(),
  };
}
