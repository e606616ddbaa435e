import type { AnyContract, MessageContract } from './contract.js';
import type { Attempt, StoredMessage } from './message.js';

/** One message as its handler gets it: parsed, and with what is needed to handle it well. */
export interface Delivery<Payload, Tx = unknown> {
  /** Which of the handler's contracts this is. */
  readonly contract: AnyContract;
  readonly payload: Payload;
  readonly message: StoredMessage;
  /** 1 for the first delivery to this group. */
  readonly attempt: number;
  /** Earlier failed tries, oldest first. */
  readonly history: readonly Attempt[];
  /** The inbox's database transaction: what is written through it commits together with the inbox row. Undefined without `once: 'inbox'`. */
  readonly tx: Tx;
  /** Aborted when the lease is lost; the message then belongs to somebody else. */
  readonly signal: AbortSignal;
  /** Starts the lease anew for `leaseMs` from now, for work that takes longer. */
  extend(leaseMs: number): Promise<void>;
}

/** Narrows a delivery of a handler with several contracts: `if (isOf(OrderPaid, delivery)) delivery.payload.paymentId`. */
export function isOf<Payload, Tx>(
  contract: MessageContract<Payload>,
  delivery: Delivery<unknown, Tx>,
): delivery is Delivery<Payload, Tx> {
  return delivery.contract.name === contract.name;
}
