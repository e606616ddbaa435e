import { MessagingError, type OutgoingMessage, type SendReceipt } from '#libs/messaging/port';
import type { BrokerHost } from '../host.js';
import { EntryType } from '../journal/format.js';
import type { ProducerIdentity, ProducerRegistration, ProducerStamp } from '../session.js';
import { recordAt } from '../topics/record.js';
import type { Topics } from '../topics/topics.js';
import type { Sends } from './sends.js';
import type { Sequences } from './sequences.js';
import { readPlaces } from './stamp.js';

/** Sends under a producer's sequence: each is stored once, in order, by one instance. */
export class SequencedSends {
  /** By producer id: an append that has to read before it can write. Those behind it must not pass it. */
  private readonly reading = new Map<number, Promise<unknown>>();

  constructor(
    private readonly host: BrokerHost,
    private readonly stores: { readonly sequences: Sequences; readonly topics: Topics },
    private readonly sends: Sends,
  ) {}

  async register(registration: ProducerRegistration): Promise<ProducerIdentity> {
    const { host, stores } = this;
    // Whoever is refused a send registers anew for its next one.
    host.space.admit(0);
    const facts = stores.sequences.plan(registration);
    host.commit(EntryType.PRODUCER_OPENED, facts);
    await host.journal.flush('durable');
    return { producerId: facts.id, epoch: facts.epoch };
  }

  store(messages: readonly OutgoingMessage[], stamp: ProducerStamp): Promise<SendReceipt[]> {
    const { reading } = this;
    const { producerId } = stamp;
    const ahead = reading.get(producerId);
    if (ahead) return ahead.then(() => this.store(messages, stamp));
    let earlier: number | undefined;
    try {
      earlier = this.stores.sequences.admit(stamp);
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
    if (earlier !== undefined) return this.receiptsAgain(earlier, messages.length, stamp);
    return this.sends.store(messages, stamp, (stored) => {
      const gone = (): void => void reading.delete(producerId);
      reading.set(producerId, stored.then(gone, gone));
    });
  }

  /** The receipts of a batch that is stored, from its records. */
  private async receiptsAgain(
    position: number,
    messages: number,
    stamp: ProducerStamp,
  ): Promise<SendReceipt[]> {
    const { journal } = this.host;
    const what = `sequence ${stamp.sequence} of producer ${stamp.producerId}`;
    if (position < journal.start) {
      throw new MessagingError('SEQUENCE_GAP', `${what} was stored, but retention has dropped its receipts`);
    }
    const { count, first, positions } = readPlaces(await journal.load(position), position);
    if (count !== messages) {
      throw new MessagingError('SEQUENCE_GAP', `${what} had ${count} messages, now it has ${messages}`);
    }
    const receipts: SendReceipt[] = [];
    for (let next = first; receipts.length < count;) {
      const at = positions[receipts.length] ?? next;
      const block = await journal.load(at);
      receipts.push(this.sends.duplicates.receiptOf(block, at));
      next = at + recordAt.length(block, at);
    }
    // The first copy may still be on its way to the disk.
    const patience = receipts.map(({ topic }) => this.stores.topics.get(topic)?.flushTimeoutMs ?? Infinity);
    return this.sends.flushed({ receipts, sync: true, timeoutMs: Math.max(...patience) });
  }
}
