import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { PaymentWebhook, PaymentWebhookHeaders } from '#libs/contracts';
import { body, open, problem } from './answers.js';

export const paymentPaths: ZodOpenApiPathsObject = {
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
