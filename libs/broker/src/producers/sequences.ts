import { randomBytes } from 'node:crypto';
import { MessagingError } from '#libs/messaging/port';
import type { ProducerRegistration, ProducerStamp } from '../session.js';

/** Producers that are remembered. The one that registered longest ago makes room; it registers again when it sends. */
export const MAX_PRODUCERS = 10_000;
/** Batches of a producer whose receipts can be given again. Kafka has 5; a client has no more than this many under way. */
export const REMEMBERED_BATCHES = 64;
const NAME = /^[A-Za-z0-9._:~-]{1,128}$/;

/** What is recorded of a registration. `owner` is the client instance that made it. */
export type ProducerFacts = { id: number; name: string; owner: string; epoch: number };

type Producer = ProducerFacts & {
  /** The newest sequence that was answered; the first one is 1. */
  last: number;
  /** Journal positions of the newest batches' stamps, at `sequence % REMEMBERED_BATCHES`; 0: none. */
  stamps: Float64Array;
  /**
   * Batches that were refused for what is in them. They take a number, because others are on the way behind them.
   * Not in the journal: after a crash the next one shows as a gap, which makes the client register anew.
   */
  refusals: Map<number, MessagingError>;
};

/**
 * Who sends, and how far each is (Kafka's idempotent producer, KIP-98). An append under a sequence is the
 * next one, or a repetition whose receipts are known, or refused: nothing is stored twice, nothing is
 * left out, and of two instances under one name only the newer one gets through.
 */
export class Sequences {
  private readonly byName = new Map<string, Producer>();
  private readonly byId = new Map<number, Producer>();

  /**
   * What to record for a registration: the next epoch of the name. A `renew` continues what the same client
   * instance began, and so must not take the name back from a newer one.
   * @throws {MessagingError} `PRODUCER_FENCED`, `INVALID_ARGUMENT`
   */
  plan({ name, owner, renew }: ProducerRegistration): ProducerFacts {
    if (typeof name !== 'string' || !NAME.test(name) || typeof owner !== 'string' || owner.length > 128) {
      throw new MessagingError(
        'INVALID_ARGUMENT',
        `producer ${JSON.stringify(name)}: 1 to 128 letters, digits, dots, colons, tildes, underscores or dashes are allowed`,
      );
    }
    const known = this.byName.get(name);
    if (!known) return { id: randomBytes(6).readUIntBE(0, 6) + 1, name, owner, epoch: 1 };
    if (renew && known.owner !== owner) throw fenced(name);
    return { id: known.id, name, owner, epoch: known.epoch + 1 };
  }

  /** Applies `PRODUCER_OPENED`. */
  open(facts: ProducerFacts, last = 0): void {
    const producer = {
      ...facts,
      last,
      stamps: new Float64Array(REMEMBERED_BATCHES),
      refusals: new Map<number, MessagingError>(),
    };
    this.byName.delete(facts.name);
    this.byName.set(facts.name, producer);
    this.byId.set(facts.id, producer);
    if (this.byName.size <= MAX_PRODUCERS) return;
    const [oldest] = this.byName.values();
    this.byName.delete(oldest!.name);
    this.byId.delete(oldest!.id);
  }

  /** A snapshot knows how far the producer was; what the journal had of it before may be gone. */
  catchUp({ last, ...facts }: ProducerFacts & { last: number }): void {
    const known = this.byId.get(facts.id);
    if (known?.epoch !== facts.epoch || known.last < last) this.open(facts, last);
  }

  /**
   * Undefined when the stamp is the next of its producer; the position of the earlier stamp when it is a repetition.
   * @throws {MessagingError} `SEQUENCE_GAP`, `PRODUCER_FENCED`, `UNKNOWN_PRODUCER`, or what the first copy was refused for
   */
  admit({ producerId, epoch, sequence }: ProducerStamp): number | undefined {
    const producer = this.byId.get(producerId);
    if (!producer) {
      throw new MessagingError('UNKNOWN_PRODUCER', `producer ${producerId} is not registered here`);
    }
    if (epoch !== producer.epoch) throw fenced(producer.name);
    if (sequence === producer.last + 1) return undefined;
    const refusal = producer.refusals.get(sequence);
    if (refusal) throw refusal;
    const isRemembered = sequence <= producer.last && sequence > producer.last - REMEMBERED_BATCHES;
    const stamp = isRemembered ? producer.stamps[sequence % REMEMBERED_BATCHES]! : 0;
    if (stamp > 0) return stamp;
    throw new MessagingError(
      'SEQUENCE_GAP',
      `producer ${producer.name} is at sequence ${producer.last}, ${String(sequence)} is not the next one`,
    );
  }

  /** The batch was stored, and its stamp is at `position`. */
  stored({ producerId, epoch, sequence }: ProducerStamp, position: number): void {
    const producer = this.byId.get(producerId);
    // Not there at a replay that begins behind its eviction.
    if (producer?.epoch !== epoch) return;
    // Refused batches between left no trace in the journal.
    const skipped = Math.min(sequence - producer.last - 1, REMEMBERED_BATCHES);
    for (let back = 1; back <= skipped; back++) producer.stamps[(sequence - back) % REMEMBERED_BATCHES] = 0;
    producer.last = sequence;
    producer.stamps[sequence % REMEMBERED_BATCHES] = position;
    if (producer.refusals.size > 0) producer.refusals.delete(sequence - REMEMBERED_BATCHES);
  }

  /** The batch was refused for good, and was the next one. */
  refused({ producerId, epoch, sequence }: ProducerStamp, error: MessagingError): void {
    const producer = this.byId.get(producerId);
    if (producer?.epoch !== epoch || sequence !== producer.last + 1) return;
    producer.last = sequence;
    producer.stamps[sequence % REMEMBERED_BATCHES] = 0;
    producer.refusals.delete(sequence - REMEMBERED_BATCHES);
    producer.refusals.set(sequence, error);
  }

  /** For a snapshot. The stamps lie before it: when it is used, they are gone. */
  facts(): (ProducerFacts & { last: number })[] {
    return [...this.byName.values()].map(({ id, name, owner, epoch, last }) => ({
      id,
      name,
      owner,
      epoch,
      last,
    }));
  }
}

const fenced = (name: string): MessagingError =>
  new MessagingError('PRODUCER_FENCED', `a newer instance of producer ${name} has registered`);
