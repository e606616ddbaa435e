/**
 * The seam between a client and the broker: what one connection can ask, in terms that fit into
 * frames. `engine/` implements it on the log; `server/` and `client/` carry it over TCP; the one
 * `BrokerPort` of this package (`client/port.ts`) is written against it and does not know which.
 */
import type {
  Attempt,
  DeadLetterReason,
  ErrorKind,
  OutgoingMessage,
  SendReceipt,
  StoredMessage,
  Subscription,
  TransactionDecision,
} from '#libs/messaging/port';
import type { Block } from './journal/block.js';

/** Where a message lies: as a record (see `topics/record.ts`) at `position` of `block`. */
export type StoredRecord = { readonly block: Block; readonly position: number; readonly topic: string };

/** A message handed to a consumer. `deliveryId` is the fence: unique per broker run, never used again. */
export type RawDelivery = {
  readonly deliveryId: number;
  readonly attempt: number;
  readonly history: readonly Attempt[];
  /** May be decoded only when it is asked for. */
  readonly message: StoredMessage;
  /** Its record, when nothing is known about the message but what is in there: a frame takes these bytes as they are. */
  readonly asStored?: StoredRecord | undefined;
};

export type Settlement =
  | { deliveryId: number; verdict: 'ack' }
  | { deliveryId: number; verdict: 'retry'; delayMs: number; error: string; kind?: ErrorKind | undefined }
  | {
      deliveryId: number;
      verdict: 'dead-letter';
      reason: DeadLetterReason;
      error: string;
      kind?: ErrorKind | undefined;
    }
  | { deliveryId: number; verdict: 'extend'; leaseMs: number }
  /** Nobody began with it: it goes to the group again, and that is no try. */
  | { deliveryId: number; verdict: 'release' };

/** Whom a session is with. `node`: the machine it runs on, by its host name, or by the address it comes from. */
export type ClientIdentity = { readonly name: string; readonly node: string };

/** What the broker tells a connection unasked. Called synchronously, in order; must not throw. */
export interface SessionEvents {
  /**
   * It copies a delivery's record when it is handed over, and does not look at the delivery after it has settled it:
   * the memory is used again then. Without it each message is decoded, with a body of its own, before it is handed over.
   */
  readonly copiesDeliveries?: boolean;
  deliveries(consumerId: number, deliveries: readonly RawDelivery[]): void;
  /** These deliveries belong to somebody else now. */
  leaseLost(consumerId: number, deliveryIds: readonly number[]): void;
  /** A transaction of a registered producer group has no decision yet. Answered with `decide`, `unknown` included. */
  check(transactionId: string, messages: readonly OutgoingMessage[], producerGroup: string): void;
  /** The session is over and nothing more will come; `error` says why when it was not asked for. */
  closed(error?: Error): void;
}

/** A client that wants its sends stored once and in order. Registering again raises the epoch, which fences older instances. */
export type ProducerRegistration = {
  name: string;
  /** This instance of the client, at random. */
  owner: string;
  /** It was registered before, and wants to begin a new sequence: refused when another instance has the name now. */
  renew: boolean;
};
export type ProducerIdentity = { producerId: number; epoch: number };
/** `sequence` counts a producer's appends from 1, per epoch. */
export type ProducerStamp = ProducerIdentity & { sequence: number };

/** Names of `BrokerAdmin` methods; arguments and results are plain JSON except for bodies (`Uint8Array`). */
export type AdminCall = { method: string; args: readonly unknown[] };

export interface BrokerSession {
  /** One atomic append; resolves when durable. Under a `stamp` it is the producer's next one, or a repetition that is answered with the first receipts, or refused. */
  append(messages: readonly OutgoingMessage[], stamp?: ProducerStamp): Promise<SendReceipt[]>;
  openProducer(registration: ProducerRegistration): Promise<ProducerIdentity>;
  prepare(producerGroup: string, messages: readonly OutgoingMessage[]): Promise<string>;
  decide(transactionId: string, decision: TransactionDecision): Promise<SendReceipt[]>;
  /** From now on `events.check` may ask for transactions of this group. */
  registerProducer(producerGroup: string): Promise<void>;
  recall(timerId: string, topic?: string): Promise<boolean>;
  reschedule(timerId: string, deliverAtMs: number, topic?: string): Promise<boolean>;
  /** Joins the group; deliveries come through `events`, never more unsettled than the subscription allows. Resolves to a consumer id of this session. */
  attach(subscription: Subscription, mode: 'push' | 'pull'): Promise<number>;
  /** Stops deliveries but keeps the leases, so that work in flight can still be settled. */
  pause(consumerId: number): Promise<void>;
  /** Leaves the group; unsettled deliveries go to others at once. */
  detach(consumerId: number): Promise<void>;
  pull(consumerId: number, maxMessages: number, waitMs: number): Promise<readonly RawDelivery[]>;
  /** True per settlement that was recorded, false where the lease was lost. Resolves when durable as the engine promises: a verdict may be lost in a crash (the message is then delivered again), never half done. */
  settle(settlements: readonly Settlement[]): Promise<boolean[]>;
  admin(call: AdminCall): Promise<unknown>;
  close(): Promise<void>;
}
