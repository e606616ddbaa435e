import { Inject, Injectable } from '@nestjs/common';
import { PaymentResponse, type CreatePaymentRequest } from '#libs/contracts';
import { SERVICE_CONFIG, signToken, type ServiceConfig } from '#libs/service-kit';
import { orderNotPayable, serviceUnavailable } from '../domain/errors.js';
import { ReadOrder } from '../read-order/read-order.js';
import { callUpstream, problemFrom, type Caller } from '../upstream/call.js';
import { Upstreams } from '../upstream/upstreams.js';

/** Long enough for one call, too short to be worth stealing. */
const SERVICE_TOKEN_SECONDS = 60;

export type PayRequest = {
  orderNo: string;
  buyerId: string;
  caller: Caller;
  /** Under which host and scheme the buyer came in: the checkout URL must lead back there. */
  origin: { host: string; protocol: string };
};

/**
 * Opens the payment of an order: the order service says whether it waits for one, the payment service
 * makes it, or answers the pending one it has. What happens to the order in between is the payment's
 * to sort out: it is captured late and then re-acquired or refunded.
 */
@Injectable()
export class PayOrder {
  constructor(
    private readonly readOrder: ReadOrder,
    private readonly upstreams: Upstreams,
    @Inject(SERVICE_CONFIG) private readonly config: ServiceConfig,
  ) {}

  /** @throws {DomainError} `ORDER_NOT_FOUND`, `ORDER_NOT_PAYABLE`, `SERVICE_UNAVAILABLE` */
  async execute({ orderNo, buyerId, caller, origin }: PayRequest): Promise<PaymentResponse> {
    const order = await this.readOrder.execute(orderNo, buyerId, caller);
    if (order.status !== 'PENDING_PAYMENT') throw orderNotPayable(orderNo, order.status);
    const payment: CreatePaymentRequest = {
      orderNo,
      buyerId,
      amountMinor: order.totalMinor,
      currency: order.currency,
    };
    const answer = await callUpstream(
      this.upstreams,
      'payment',
      {
        method: 'POST',
        path: '/internal/payments',
        headers: {
          authorization: `Bearer ${this.serviceToken()}`,
          'x-forwarded-host': origin.host,
          'x-forwarded-proto': origin.protocol,
        },
        json: payment,
      },
      caller,
    );
    if (answer.status !== 200 && answer.status !== 201) throw problemFrom('payment', answer);
    const created = PaymentResponse.safeParse(answer.body);
    if (!created.success)
      throw serviceUnavailable('The payment service answered something else than a payment.', created.error);
    return created.data;
  }

  private serviceToken(): string {
    const claims = { sub: 'gateway', roles: ['service'], expiresInSeconds: SERVICE_TOKEN_SECONDS };
    return signToken(claims, this.config.JWT_SECRET);
  }
}
