import { Controller, Headers, HttpCode, Inject, Post } from '@nestjs/common';
import { CreatePaymentRequest, type PaymentResponse } from '#libs/contracts';
import { Roles, ZodBody } from '#libs/service-kit';
import { PAYMENT_CONFIG, type PaymentConfig } from '../payment.config.js';
import { CreatePayment } from './create-payment.js';
import { publicUrl, type ForwardedHeaders } from './public-url.js';

/** For the gateway, which has seen that the order is the caller's and waits for its payment. */
@Controller('internal/payments')
export class CreatePaymentController {
  constructor(
    private readonly createPayment: CreatePayment,
    @Inject(PAYMENT_CONFIG) private readonly config: PaymentConfig,
  ) {}

  @Post()
  @Roles('service')
  @HttpCode(201)
  async create(
    @ZodBody(CreatePaymentRequest) request: CreatePaymentRequest,
    @Headers() headers: ForwardedHeaders,
  ): Promise<PaymentResponse> {
    const { paymentId, intentId } = await this.createPayment.execute(request);
    const base = publicUrl(this.config.PUBLIC_URL, headers, `http://127.0.0.1:${this.config.PORT}`);
    return { paymentId, checkoutUrl: `${base}/api/provider/checkouts/${intentId}`, status: 'PENDING' };
  }
}
