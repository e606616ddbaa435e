import { Inject, Injectable } from '@nestjs/common';
import { createSigner, createVerifier } from 'fast-jwt';
import { hkdfSync } from 'node:crypto';
import type { StreamTokenResponse } from '#libs/contracts';
import { CLOCK, HttpProblem, SERVICE_CONFIG, type Clock, type ServiceConfig } from '#libs/service-kit';

/** Long enough to open a stream; a URL is written into logs and histories. */
const TTL_MS = 60_000;
const ALGORITHM = 'HS256';

/**
 * Tokens for a browser's `EventSource`, which cannot send headers. Signed with a key of their own, so that none of them is a
 * bearer token, and made for one stream.
 */
@Injectable()
export class StreamTokens {
  private readonly key: Buffer;
  /** Of secrets that were rotated, or are to be. */
  private readonly otherKeys: readonly Buffer[];

  constructor(
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(SERVICE_CONFIG) config: ServiceConfig,
  ) {
    this.key = keyOf(config.JWT_SECRET);
    this.otherKeys = config.JWT_SECRET_PREVIOUS.map(keyOf);
  }

  issue(orderNo: string, buyerId: string): StreamTokenResponse {
    const expiresAtMs = this.clock.now() + TTL_MS;
    const sign = createSigner({ algorithm: ALGORITHM, key: this.key, sub: buyerId, aud: orderNo });
    return {
      token: sign({ exp: Math.floor(expiresAtMs / 1000) }),
      expiresAt: new Date(expiresAtMs).toISOString(),
    };
  }

  /**
   * The buyer for whom the token of this stream was issued.
   *
   * @throws {HttpProblem} 401 `UNAUTHENTICATED`
   */
  buyerOf(token: string, orderNo: string): string {
    let refusal: unknown;
    for (const key of [this.key, ...this.otherKeys]) {
      const verify = createVerifier({
        key,
        algorithms: [ALGORITHM],
        // In a list: an empty text of its own would be no condition.
        allowedAud: [orderNo],
        clockTimestamp: this.clock.now(),
      });
      try {
        return (verify(token) as { sub: string }).sub;
      } catch (cause) {
        refusal = cause;
      }
    }
    const detail = 'The stream token is for another stream, or no longer valid.';
    throw new HttpProblem(
      401,
      'UNAUTHENTICATED',
      detail,
      { 'www-authenticate': 'Bearer' },
      { cause: refusal },
    );
  }
}

const keyOf = (secret: string): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, '', 'stampede stream tokens', 32));
