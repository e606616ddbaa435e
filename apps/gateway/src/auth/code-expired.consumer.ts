import { Controller } from '@nestjs/common';
import { CodeExpired } from '#libs/contracts';
import { backoff, Consume, type Delivery } from '#libs/messaging';
import { CodeStore } from './code-store.js';

/**
 * Deletes a sign-in code five minutes after it was made. The code carries its end itself, so a message
 * that is late does not make it valid for longer; this one keeps nothing lying around.
 */
@Controller()
export class CodeExpiredConsumer {
  constructor(private readonly codes: CodeStore) {}

  @Consume(CodeExpired, { group: 'gateway.expire-code', retry: backoff({ attempts: 8, firstDelayMs: 500 }) })
  async handle({ payload }: Delivery<CodeExpired>): Promise<void> {
    await this.codes.forget(payload.phone, payload.codeId);
  }
}
