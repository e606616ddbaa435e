import type { Logger } from 'pino';
import type { Channel } from '../domain/notifications.js';

/** Where short texts are handed over: an SMS or a push provider. */
export interface TextProvider {
  /** `reference` is the same for every try; real providers take it as their idempotency key. */
  send(message: { to: string; text: string; reference: string }): Promise<void>;
}

/** Texts that are handed over at the same moment, by each batch. */
export const MAX_AT_ONCE = 100;

/** Injection tokens of the two providers. */
export const SMS_PROVIDER = Symbol('SMS_PROVIDER');
export const PUSH_PROVIDER = Symbol('PUSH_PROVIDER');

/**
 * The simulated provider of a local run: the text is in the deliveries (`/api/ops/mailbox`), so there is
 * nothing left to do. The text is not logged, it may be a sign-in code.
 */
export class LogOnlyProvider implements TextProvider {
  constructor(
    private readonly channel: Channel,
    private readonly logger: Logger,
  ) {}

  async send({ reference }: { reference: string }): Promise<void> {
    this.logger.debug({ channel: this.channel, reference }, 'text handed to the simulated provider');
  }
}
