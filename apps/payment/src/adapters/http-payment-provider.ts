import { Agent, request } from 'undici';
import { z } from 'zod';
import { UnavailableError } from '#libs/messaging';
import { signToken } from '#libs/service-kit';
import type { PaymentProvider } from '../ports/payment-provider.js';

const REQUEST_TIMEOUT_MS = 5_000;
const TOKEN_SECONDS = 300;
const MAX_CONNECTIONS = 32;
const IntentAnswer = z.object({ intentId: z.string() });

/** The provider's HTTP API. What another try may mend is `transient`; a refusal is our own bug and `unknown`. */
export class HttpPaymentProvider implements PaymentProvider {
  private readonly agent = new Agent({ connections: MAX_CONNECTIONS });
  private token: { value: string; renewAtMs: number } | undefined;

  constructor(private readonly options: { url: string; jwtSecret: string }) {}

  async createIntent(intent: {
    reference: string;
    amountMinor: number;
    currency: string;
  }): Promise<{ intentId: string }> {
    return IntentAnswer.parse(await this.post('/intents', intent));
  }

  async refund({ intentId, idempotencyKey }: { intentId: string; idempotencyKey: string }): Promise<void> {
    await this.post('/refunds', { intentId }, { 'idempotency-key': idempotencyKey });
  }

  /** Nest's hook: the requests have ended by now, idle connections have not. */
  onApplicationShutdown(): Promise<void> {
    return this.agent.close();
  }

  private async post(path: string, body: object, headers: Record<string, string> = {}): Promise<unknown> {
    const authorization = `Bearer ${await this.bearer()}`;
    let status: number;
    let text: string;
    try {
      const response = await request(`${this.options.url}${path}`, {
        dispatcher: this.agent,
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization, ...headers },
        body: JSON.stringify(body),
        headersTimeout: REQUEST_TIMEOUT_MS,
        bodyTimeout: REQUEST_TIMEOUT_MS,
      });
      status = response.statusCode;
      text = await response.body.text();
    } catch (error) {
      throw providerUnavailable(`POST ${path} got no answer`, error);
    }
    if (status >= 500 || status === 429)
      throw providerUnavailable(`POST ${path} was answered with ${status}`);
    if (status >= 300) throw new Error(`the payment provider refused POST ${path} with ${status}: ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  /** Signing costs more than a map look-up, so a token is used for half of its life. */
  private async bearer(): Promise<string> {
    const nowMs = Date.now();
    if (this.token === undefined || nowMs >= this.token.renewAtMs) {
      const value = signToken(
        { sub: 'payment', roles: ['service'], expiresInSeconds: TOKEN_SECONDS },
        this.options.jwtSecret,
      );
      this.token = { value, renewAtMs: nowMs + (TOKEN_SECONDS / 2) * 1000 };
    }
    return this.token.value;
  }
}

const providerUnavailable = (detail: string, cause?: unknown): UnavailableError =>
  new UnavailableError('PAYMENT_PROVIDER_UNAVAILABLE', detail, 1_000, { cause });
