import { Controller, Headers, HttpCode, Inject, Post, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { PaymentWebhookHeaders } from '#libs/contracts';
import { CLOCK, HttpProblem, Public, RawBody, type Clock } from '#libs/service-kit';
import { isSignedWebhook } from '../domain/webhook-signature.js';
import { PAYMENT_CONFIG, type PaymentConfig } from '../payment.config.js';
import { AcceptWebhook } from './accept-webhook.js';
import { readWebhook } from './read-webhook.js';
import { WebhookAnomalies } from './webhook-anomalies.js';

/** The provider's door. Public, because the signature is what lets a request in. */
@Controller('api/payments/webhook')
export class PaymentWebhookController {
  constructor(
    private readonly acceptWebhook: AcceptWebhook,
    private readonly anomalies: WebhookAnomalies,
    @Inject(PAYMENT_CONFIG) private readonly config: PaymentConfig,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Post()
  @Public()
  @RawBody()
  @HttpCode(204)
  async accept(
    @Req() request: FastifyRequest,
    @Headers(PaymentWebhookHeaders.timestamp) timestamp: string | undefined,
    @Headers(PaymentWebhookHeaders.signature) signature: string | undefined,
  ): Promise<void> {
    // The bytes as they came: parsing and printing again would not give the same ones.
    const rawBody = request.rawBody ?? Buffer.alloc(0);
    const webhook = { timestamp, signature, rawBody };
    if (!isSignedWebhook(this.config.PAYMENT_WEBHOOK_SECRET, webhook, this.clock.now())) {
      throw new HttpProblem(401, 'SIGNATURE_INVALID', 'The webhook is not signed, or not by the provider.');
    }
    const read = readWebhook(rawBody.toString('utf8'));
    if ('webhook' in read) await this.acceptWebhook.execute(read.webhook);
    else await this.anomalies.record(read.anomaly);
  }
}
