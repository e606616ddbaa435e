import { Agent, request } from 'undici';
import { z } from 'zod';
import { Currency, Instant, Minor, PaymentWebhook } from '#libs/contracts';
import { UnavailableError } from '#libs/messaging';
import { signToken } from '#libs/service-kit';
import type { PaymentProvider, ProviderEvent, ProviderIntent } from '../ports/payment-provider.js';

const REQUEST_TIMEOUT_MS = 5_000;
const TOKEN_SECONDS = 300;
const MAX_CONNECTIONS = 32;
/** Of a refusal, in the log. */
const MAX_SHOWN_CHARS = 500;
const MAX_ANSWER_BYTES = 64 * 1024;
const NewIntentAnswer = z.object({ intentId: z.string().min(1).max(255) });
const IntentAnswer = z.object({
  status: z.enum(['OPEN', 'CAPTURED', 'DECLINED', 'REFUNDED']),
  amountMinor: Minor,
  currency: Currency,
  capturedAt: Instant.nullish().transform((at) => at ?? undefined),
});
const EventsAnswer = z.object({
  events: z
    .array(
      z.object({
        place: z.string().max(64),
        // One that cannot be read must not hide those behind it.
        webhook: PaymentWebhook.optional().catch(undefined),
      }),
    )
    .max(100),
});

/**
 * The provider's HTTP API. What another try may mend is `transient`: no answer within five seconds, a 5xx, an answer that
 * is none (a page of some proxy, a redirect, half a JSON). A refusal is our own bug and `unknown`.
 */
export class HttpPaymentProvider implements PaymentProvider {
  private readonly agent = new Agent({ connections: MAX_CONNECTIONS, maxResponseSize: MAX_ANSWER_BYTES });
  private token: { value: string; renewAtMs: number } | undefined;

  constructor(private readonly options: { url: string; jwtSecret: string }) {}

  async createIntent(intent: {
    reference: string;
    amountMinor: number;
    currency: string;
  }): Promise<{ intentId: string }> {
    return this.call('POST', '/intents', NewIntentAnswer, { body: intent });
  }

  async refund({ intentId, idempotencyKey }: { intentId: string; idempotencyKey: string }): Promise<void> {
    const headers = { 'idempotency-key': idempotencyKey };
    await this.call('POST', '/refunds', z.unknown(), { body: { intentId }, headers });
  }

  async intent(intentId: string): Promise<ProviderIntent> {
    return this.call('GET', `/intents/${encodeURIComponent(intentId)}`, IntentAnswer);
  }

  async events(after: string | undefined): Promise<ProviderEvent[]> {
    const query = after === undefined ? '' : `?after=${encodeURIComponent(after)}`;
    return (await this.call('GET', `/events${query}`, EventsAnswer)).events;
  }

  /** Nest's hook: the requests have ended by now, idle connections have not. */
  onApplicationShutdown(): Promise<void> {
    return this.agent.close();
  }

  private async call<Answer extends z.ZodType>(
    method: 'GET' | 'POST',
    path: string,
    answer: Answer,
    { body, headers = {} }: { body?: object; headers?: Record<string, string> } = {},
  ): Promise<z.output<Answer>> {
    const authorization = `Bearer ${await this.bearer()}`;
    let status: number;
    let text: string;
    try {
      const response = await request(`${this.options.url}${path}`, {
        dispatcher: this.agent,
        method,
        headers: { 'content-type': 'application/json', authorization, ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        // From the first byte of the request to the last of the answer: one that trickles must end as well.
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      status = response.statusCode;
      text = await response.body.text();
    } catch (error) {
      throw providerUnavailable(`${method} ${path} got no answer`, error);
    }
    if (status >= 500 || status === 429 || (status >= 300 && status < 400)) {
      throw providerUnavailable(`${method} ${path} was answered with ${status}`);
    }
    if (status >= 400) {
      const said = text.slice(0, MAX_SHOWN_CHARS);
      throw new Error(`the payment provider refused ${method} ${path} with ${status}: ${said}`);
    }
    try {
      return answer.parse(text === '' ? undefined : JSON.parse(text));
    } catch (error) {
      throw providerUnavailable(`${method} ${path} got an answer that is none`, error);
    }
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
