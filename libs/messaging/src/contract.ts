import { z } from 'zod';
import { MessagingError } from './errors.js';
import type { StoredMessage } from './message.js';

/** A message declared once: where it goes, how it is keyed, what it carries. */
export interface MessageContract<Payload = unknown> {
  readonly topic: string;
  readonly tag: string;
  /** Raised when a consumer of the old version could misread the new one. */
  readonly version: number;
  readonly key: (payload: Payload) => string;
  readonly payload: z.ZodType<Payload>;
  /** `topic.tag`, for logs, spans and metrics. */
  readonly name: string;
}

/** Some contract, its payload's type being of no interest: what lists of contracts are made of. */
export type AnyContract = Omit<MessageContract, 'key' | 'payload'> & {
  readonly key: (payload: never) => string;
  readonly payload: z.ZodType;
};

export type PayloadOf<Contract> = Contract extends MessageContract<infer Payload> ? Payload : never;

type Declaration<Schema extends z.ZodType> = {
  topic: string;
  tag: string;
  version: number;
  key: (payload: z.output<Schema>) => string;
  payload: Schema;
};

/** A fact, named in the past tense: `OrderPaid`. Several groups may listen. */
export function defineEvent<Schema extends z.ZodType>(
  declaration: Declaration<Schema>,
): MessageContract<z.output<Schema>> {
  return {
    ...declaration,
    payload: declaration.payload as unknown as z.ZodType<z.output<Schema>>,
    name: `${declaration.topic}.${declaration.tag}`,
  };
}

/** A request, named in the imperative: `SendEmail`. One group listens. */
export const defineCommand = defineEvent;

/** JSON, UTF-8. */
export function encodePayload(payload: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(payload), 'utf8');
}

/** @throws {MessagingError} `INVALID_PAYLOAD` when the body is not JSON or not what the contract says. */
export function decodePayload<Payload>(contract: MessageContract<Payload>, message: StoredMessage): Payload {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(message.body).toString('utf8'));
  } catch (error) {
    throw new MessagingError('INVALID_PAYLOAD', `${contract.name} ${message.id} is not JSON`, {
      cause: error,
    });
  }
  const parsed = contract.payload.safeParse(json);
  if (!parsed.success) {
    throw new MessagingError(
      'INVALID_PAYLOAD',
      `${contract.name} ${message.id}: ${z.prettifyError(parsed.error).replaceAll('\n', '; ')}`,
    );
  }
  return parsed.data;
}
