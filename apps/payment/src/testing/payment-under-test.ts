import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { PrismaClient } from '#prisma/payment';
import { PaymentWebhookHeaders, type PaymentResponse, type PaymentWebhook } from '#libs/contracts';
import { BROKER_PORT, MessageBus } from '#libs/messaging';
import {
  provesNothingWritten,
  RowRetention,
  serve,
  ServiceAdapter,
  signToken,
  type Role,
  type RunningService,
} from '#libs/service-kit';
import { RehearsalBus } from '../../../../libs/messaging/src/testing/rehearsal-bus.js';
import { FaultProxy, freePort, startPostgres } from '../../../../libs/service-kit/src/testing/index.js';
import { PaymentCheckBack } from '../check-back/payment.check-back.js';
import { AcceptWebhook } from '../accept-webhook/accept-webhook.js';
import { PaymentBook } from '../accept-webhook/payment-book.js';
import { signWebhook } from '../domain/webhook-signature.js';
import { PaymentModule } from '../payment.module.js';
import { RequestRefund } from '../request-refund/request-refund.js';

const JWT_SECRET = 'a secret of the payment specs, long enough';
const WEBHOOK_SECRET = 'another secret of the payment specs';

const nothing = (): Promise<void> => Promise.resolve();

/**
 * The whole payment service over HTTP, its simulated provider included, on a real Postgres. Only the
 * broker is missing: messages end in `bus`. Webhooks go straight to the service, as the gateway would send them on.
 */
export class PaymentUnderTest {
  readonly acceptWebhook: AcceptWebhook;
  readonly book: PaymentBook;
  readonly checkBack: PaymentCheckBack;
  readonly requestRefund: RequestRefund;
  readonly database: PrismaClient;
  readonly retention: RowRetention;

  private constructor(
    private readonly service: RunningService,
    readonly bus: RehearsalBus,
    readonly url: string,
    /** The way to the database. */
    readonly link: FaultProxy,
    private readonly serviceToken: string,
    private readonly stopPostgres: () => Promise<void>,
  ) {
    const { app } = service;
    this.acceptWebhook = app.get(AcceptWebhook);
    this.book = app.get(PaymentBook);
    this.checkBack = app.get(PaymentCheckBack);
    this.requestRefund = app.get(RequestRefund);
    this.database = app.get(PrismaClient);
    this.retention = app.get(RowRetention);
  }

  static async start(): Promise<PaymentUnderTest> {
    const postgres = await startPostgres();
    const link = await FaultProxy.inFrontOf(postgres.url('payment'));
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    Object.assign(process.env, {
      DATABASE_URL: link.via(postgres.url('payment')),
      JWT_SECRET,
      PAYMENT_WEBHOOK_SECRET: WEBHOOK_SECRET,
      PORT: String(port),
      WEBHOOK_URL: `${url}/api/payments/webhook`,
      LOG_LEVEL: 'silent',
    });
    const bus = new RehearsalBus(provesNothingWritten);
    const module = await Test.createTestingModule({ imports: [PaymentModule] })
      .overrideProvider(MessageBus)
      .useValue(bus)
      .overrideProvider(BROKER_PORT)
      .useValue({
        ready: nothing,
        onCheckBack: nothing,
        subscribe: () => Promise.resolve({ close: nothing }),
        close: nothing,
      })
      .compile();
    const app = module.createNestApplication<NestFastifyApplication>(new ServiceAdapter());
    const service = await serve(app, 'payment');
    const token = signToken({ sub: 'gateway', roles: ['service'], expiresInSeconds: 600 }, JWT_SECRET);
    return new PaymentUnderTest(service, bus, url, link, token, () => postgres.stop());
  }

  /** A provider of the running service. */
  get<T>(token: symbol | (abstract new (...parameters: never[]) => T)): T {
    return this.service.app.get(token);
  }

  async stop(): Promise<void> {
    await this.service.close();
    await this.link.stop();
    await this.stopPostgres();
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(path.startsWith('http') ? path : `${this.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  }

  /** As the shop, or somebody of the shop, calls the provider. */
  async asService(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return this.post(path, body, { authorization: `Bearer ${this.serviceToken}`, ...headers });
  }

  /** What a stranger with a genuine token gets. */
  as(roles: readonly Role[]): Record<string, string> {
    const token = signToken({ sub: 'somebody', roles: [...roles], expiresInSeconds: 600 }, JWT_SECRET);
    return { authorization: `Bearer ${token}` };
  }

  /** A payment that has been captured; `intentId` is the provider's name for it. */
  async captured(orderNo = this.newOrderNo()): Promise<{ paymentId: string; intentId: string }> {
    const { paymentId, checkoutUrl } = await this.created(orderNo);
    await this.post(checkoutUrl, { outcome: 'succeed' });
    await this.until('captured', async () => (await this.statusOf(paymentId)) === 'SUCCEEDED');
    return { paymentId, intentId: checkoutUrl.split('/').at(-1) ?? '' };
  }

  /** Kinds of what was recorded of a payment for an operator. */
  async anomaliesOf(paymentId: string): Promise<string[]> {
    const found = await this.database.webhookAnomaly.findMany({ where: { paymentId } });
    return found.map(({ kind }) => kind);
  }

  newOrderNo(): string {
    return `0123456789-${randomUUID().replaceAll('-', '').slice(0, 16)}`;
  }

  /** What the gateway does for a buyer. */
  async create(orderNo: string, headers: Record<string, string> = {}): Promise<Response> {
    return this.post(
      '/internal/payments',
      { orderNo, buyerId: 'buyer', amountMinor: 5_000, currency: 'EUR' },
      { authorization: `Bearer ${this.serviceToken}`, ...headers },
    );
  }

  async created(orderNo = this.newOrderNo()): Promise<PaymentResponse> {
    const response = await this.create(orderNo);
    if (response.status !== 201) throw new Error(`no payment: ${response.status} ${await response.text()}`);
    return (await response.json()) as PaymentResponse;
  }

  /** A webhook with a life of its own, as if the provider had sent it. */
  webhook(
    type: PaymentWebhook['type'],
    paymentId: string,
    change: Partial<PaymentWebhook> = {},
  ): PaymentWebhook {
    return {
      eventId: randomUUID(),
      type,
      paymentId,
      amountMinor: 5_000,
      currency: 'EUR',
      occurredAt: new Date().toISOString(),
      ...change,
    };
  }

  async deliver(webhook: PaymentWebhook, ageSeconds = 0): Promise<number> {
    const body = JSON.stringify(webhook);
    const seconds = Math.floor(Date.now() / 1000) - ageSeconds;
    const response = await this.post('/api/payments/webhook', body, {
      [PaymentWebhookHeaders.timestamp]: String(seconds),
      [PaymentWebhookHeaders.signature]: signWebhook(WEBHOOK_SECRET, seconds, body),
    });
    await response.arrayBuffer();
    return response.status;
  }

  async statusOf(paymentId: string): Promise<string | undefined> {
    return (await this.database.payment.findUnique({ where: { id: paymentId } }))?.status;
  }

  /** Names of the messages about a payment. */
  messagesOf(paymentId: string): string[] {
    return this.bus.visible
      .filter(({ payload }) => (payload as { paymentId?: string }).paymentId === paymentId)
      .map(({ contract }) => contract.name);
  }

  askBack(): ReturnType<RehearsalBus['checkBack']> {
    return this.bus.checkBack((id, messages) => this.checkBack.check(id, messages));
  }

  /** Waits for a state, not for a time. */
  async until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 30_000;
    while (!(await isSo())) {
      if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
