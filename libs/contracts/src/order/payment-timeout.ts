import { z } from 'zod';
import { defineCommand, type PayloadOf } from '#libs/messaging';
import { OrderNo } from '../values.js';

/** Sent with a delay when an order is created, recalled when it is paid or cancelled. */
export const PaymentTimeout = defineCommand({
  topic: 'order',
  tag: 'payment-timeout',
  version: 1,
  key: (timeout) => timeout.orderNo,
  payload: z.object({ orderNo: OrderNo }),
});
export type PaymentTimeout = PayloadOf<typeof PaymentTimeout>;

/** The handle by which an order's timeout is recalled. */
export const paymentTimeoutTimerId = (orderNo: string): string => `payment-timeout:${orderNo}`;
