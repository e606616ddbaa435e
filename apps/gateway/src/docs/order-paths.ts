import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import {
  IdempotencyKey,
  ListOrdersQuery,
  OrderNo,
  OrderPage,
  OrderView,
  PaymentResponse,
  PlaceOrderRequest,
  PlaceOrderResponse,
  StreamQuery,
  StreamTokenResponse,
} from '#libs/contracts';
import { body, json, problem, problemForNow } from './answers.js';
import { orderLinks, orderPageLinks } from './links.js';

const path = z.object({ orderNo: OrderNo });
const unauthenticated = problem('UNAUTHENTICATED');
const notFound = problem('ORDER_NOT_FOUND');

export const orderPaths: ZodOpenApiPathsObject = {
  '/api/orders': {
    post: {
      operationId: 'placeOrder',
      tags: ['orders'],
      summary: 'Buy tickets',
      description:
        'The same key and body always give the same order, however often and from however many calls.',
      requestParams: { header: z.object({ 'idempotency-key': IdempotencyKey }) },
      requestBody: body(PlaceOrderRequest),
      responses: {
        '202': {
          ...json(PlaceOrderResponse, 'The tickets are held and the order is queued'),
          links: orderLinks,
        },
        '400': problem('INVALID_REQUEST, also for a missing Idempotency-Key'),
        '401': unauthenticated,
        '403': problem('SALE_NOT_OPEN'),
        '404': problem('TICKET_TYPE_NOT_FOUND'),
        '409': problem('SOLD_OUT, LIMIT_EXCEEDED, HOLD_EXPIRED'),
        '422': problem('IDEMPOTENCY_KEY_REUSED'),
        '429': problemForNow('RATE_LIMITED'),
        '503': problemForNow('OVERLOADED, SERVICE_UNAVAILABLE, STOCK_NOT_READY'),
      },
    },
    get: {
      operationId: 'listOrders',
      tags: ['orders'],
      summary: 'Your orders, newest first',
      requestParams: { query: ListOrdersQuery },
      responses: {
        '200': { ...json(OrderPage, 'A page of orders'), links: orderPageLinks },
        '401': unauthenticated,
      },
    },
  },
  '/api/orders/{orderNo}': {
    get: {
      operationId: 'readOrder',
      tags: ['orders'],
      summary: 'One of your orders',
      requestParams: { path },
      responses: { '200': json(OrderView, 'The order'), '401': unauthenticated, '404': notFound },
    },
  },
  '/api/orders/{orderNo}/events': {
    get: {
      operationId: 'streamOrder',
      tags: ['orders'],
      summary: 'Server-sent events: the present status, then one event per change until the final one',
      requestParams: {
        path,
        query: StreamQuery,
        // Not the statuses alone: whatever stands in it, a browser has to get its stream back.
        header: z.object({
          'last-event-id': z.string().optional().meta({
            description: 'The last status you saw. Any other id starts the stream with the present status.',
          }),
        }),
      },
      responses: {
        '200': {
          description: 'Events named `status` whose data is `{orderNo, status, at}`; the id is the status',
          content: { 'text/event-stream': {} },
        },
        '204': { description: 'Nothing is to come after `Last-Event-ID`' },
        '401': unauthenticated,
        '404': notFound,
        '429': problemForNow('RATE_LIMITED'),
        '503': problemForNow('OVERLOADED'),
      },
    },
  },
  '/api/orders/{orderNo}/events/token': {
    post: {
      operationId: 'issueStreamToken',
      tags: ['orders'],
      summary: "A token for a browser's EventSource: `?token=` on that stream, for one minute",
      requestParams: { path },
      responses: { '201': json(StreamTokenResponse, 'The token'), '404': notFound },
    },
  },
  '/api/orders/{orderNo}/cancel': {
    post: {
      operationId: 'cancelOrder',
      tags: ['orders'],
      summary: 'Cancel an order that is not paid',
      requestParams: { path },
      responses: {
        '202': { description: 'Cancelled; the tickets go back on sale' },
        '401': unauthenticated,
        '404': notFound,
        '409': problem('ORDER_NOT_CANCELLABLE'),
      },
    },
  },
  '/api/orders/{orderNo}/payments': {
    post: {
      operationId: 'payOrder',
      tags: ['payments'],
      summary: 'Open the payment of an order; asked twice, the same one',
      requestParams: { path },
      responses: {
        '201': json(PaymentResponse, 'Where to pay'),
        '401': unauthenticated,
        '404': notFound,
        '409': problem('ORDER_NOT_PAYABLE'),
        '503': problemForNow('OVERLOADED'),
      },
    },
  },
};
