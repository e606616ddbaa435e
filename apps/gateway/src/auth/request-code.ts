import { Inject, Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { CodeExpired, CodeRequested } from '#libs/contracts';
import { envelope, MessageBus } from '#libs/messaging';
import { CLOCK, type Clock } from '#libs/service-kit';
import { BrokerGate } from '../broker-gate/broker-gate.js';
import type { Phone } from '../domain/phone.js';
import { codeHashOf, laneOf, newCode } from '../domain/phone-identity.js';
import { GATEWAY_CONFIG, type GatewayConfig } from '../gateway.config.js';
import { CodeStore } from './code-store.js';
import { Identities } from './identities.js';
import { SignInLimits } from './sign-in-limits.js';

/** Makes a sign-in code and has it sent; says nothing about whether the phone is known. Earlier codes stay good. */
@Injectable()
export class RequestCode {
  constructor(
    private readonly identities: Identities,
    private readonly limits: SignInLimits,
    private readonly codes: CodeStore,
    private readonly bus: MessageBus,
    private readonly gate: BrokerGate,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
  ) {}

  /**
   * @param address what counts as one address
   * @throws {HttpProblem} 429 `RATE_LIMITED`: every code is a paid SMS to somebody who may not want it.
   * @throws {DomainError} `SERVICE_UNAVAILABLE` while the broker is away
   * @throws {MessagingError} transient, when the broker does not take it in time
   */
  execute(phone: Phone, address: string): Promise<void> {
    return this.gate.pass(() => this.sendCode(phone, address));
  }

  private async sendCode(phone: Phone, address: string): Promise<void> {
    const keys = await this.identities.keys();
    const lane = laneOf(phone.e164, address, keys);
    await this.limits.spendCode({ phone, address, lane });
    const codeId = randomUUID();
    const code = newCode();
    const ttlMs = this.config.SIGN_IN_CODE_TTL_MS;
    const expiresAtMs = this.clock.now() + ttlMs;
    const { e164 } = phone;
    // The store is first: a code that was sent must work. One that is stored and not sent does no harm.
    await this.codes.put({
      codeId,
      phone: e164,
      hash: codeHashOf(e164, code, keys),
      expiresAtMs,
      asker: lane,
    });
    const expiresAt = new Date(expiresAtMs).toISOString();
    await this.gate.send(() =>
      this.bus.sendBatch([
        envelope(CodeRequested, { codeId, phone: e164, code, expiresAt }, { id: `code-requested:${codeId}` }),
        envelope(CodeExpired, { codeId, phone: e164 }, { id: `code-expired:${codeId}`, delayMs: ttlMs }),
      ]),
    );
  }
}
