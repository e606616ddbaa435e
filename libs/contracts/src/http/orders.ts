import { z } from 'zod';
import { Currency, Instant, Minor, OrderNo, OrderStatus, Quantity, TicketTypeId } from '../values.js';

/** A ticket type id of another form is answered with `TICKET_TYPE_NOT_FOUND`, like an unknown one. */
export const PlaceOrderRequest = z.strictObject({
  ticketTypeId: z.string().min(1).max(64),
  quantity: Quantity,
});
export type PlaceOrderRequest = z.output<typeof PlaceOrderRequest>;

/** 1 to 255 visible ASCII characters. */
export const IdempotencyKey = z
  .string('send this header, a new value for each order')
  .regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters');

export const PlaceOrderResponse = z.object({
  orderNo: OrderNo,
  status: z.literal('QUEUED'),
  /** Orders accepted before this one and not yet written, itself included. */
  queuePosition: z.int(),
});
export type PlaceOrderResponse = z.output<typeof PlaceOrderResponse>;

/** `token`: of the stream, for a browser's `EventSource`, which cannot send headers. */
export const StreamQuery = z.object({ token: z.string().max(1_024).optional() });
export type StreamQuery = z.output<typeof StreamQuery>;

export const StreamTokenResponse = z.object({ token: z.string(), expiresAt: Instant });
export type StreamTokenResponse = z.output<typeof StreamTokenResponse>;

export const OrderView = z.object({
  orderNo: OrderNo,
  status: OrderStatus,
  ticketTypeId: TicketTypeId,
  quantity: Quantity,
  totalMinor: Minor,
  currency: Currency,
  queuePosition: z.int().optional(),
  payBefore: Instant.optional(),
  history: z.array(z.object({ status: OrderStatus, at: Instant })),
});
export type OrderView = z.output<typeof OrderView>;

export const ListOrdersQuery = z.strictObject({
  cursor: z.string().min(1).max(200).optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
});
export const OrderPage = z.object({ items: z.array(OrderView), nextCursor: z.string().optional() });
export type OrderPage = z.output<typeof OrderPage>;
