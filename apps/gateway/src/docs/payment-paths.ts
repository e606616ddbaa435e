import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { CheckoutRequest, PaymentWebhook, PaymentWebhookHeaders } from '#libs/contracts';
import { body, open, problem } from './answers.js';

const intent = z.object({ intentId: z.string().min(1) });
const notFound = problem('INTENT_NOT_FOUND');

export const paymentPaths: ZodOpenApiPathsObject = {
  '/api/provider/checkouts/{intentId}': {
    get: {
      operationId: 'showCheckout',
      tags: ['payments'],
      summary: "The simulated provider's page: a payment's `checkoutUrl`",
      security: open,
      requestParams: { path: intent },
      responses: {
        '200': { description: 'The page', content: { 'text/html': { schema: z.string() } } },
        '404': notFound,
      },
    },
    post: {
      operationId: 'checkOut',
      tags: ['payments'],
      summary: 'Pay, or have the card declined; the provider then calls the webhook',
      security: open,
      requestParams: { path: intent },
      requestBody: body(CheckoutRequest),
      responses: {
        '202': { description: 'The outcome stands' },
        '404': notFound,
        '409': problem('PAYMENT_ALREADY_CAPTURED'),
      },
    },
  },
  '/api/payments/webhook': {
    post: {
      operationId: 'acceptWebhook',
      tags: ['payments'],
      summary: 'For the payment provider: what happened to a payment',
      security: open,
      requestParams: {
        header: z.object({
          [PaymentWebhookHeaders.timestamp]: z.string().meta({ description: 'Seconds since the epoch' }),
          [PaymentWebhookHeaders.signature]: z
            .string()
            .meta({ description: 'Hex HMAC-SHA256 over `<timestamp>.<raw body>`' }),
        }),
      },
      requestBody: body(PaymentWebhook),
      responses: {
        '204': { description: 'Taken, also when it had come before' },
        '401': problem('SIGNATURE_INVALID'),
      },
    },
  },
};
