import { MessagingError, type OutgoingMessage, type SendReceipt } from '#libs/messaging/port';
import type { Engine } from '../engine/engine.js';
import { EntryType } from '../journal/format.js';
import type { ProducerIdentity, ProducerRegistration, ProducerStamp } from '../session.js';
import { recordAt } from '../topics/record.js';
import { readPlaces } from './stamp.js';

/** Appends under a producer's sequence: each is stored once, in order, by one instance. */
export class SequencedAppends {
  /** By producer id: an append that has to read before it can write. Those behind it must not pass it. */
  private readonly reading = new Map<number, Promise<unknown>>();

  constructor(private readonly engine: Engine) {}

  async register(registration: ProducerRegistration): Promise<ProducerIdentity> {
    const { engine } = this;
    const facts = engine.state.sequences.plan(registration);
    engine.commit(EntryType.PRODUCER_OPENED, facts);
    await engine.journal.flush(true);
    return { producerId: facts.id, epoch: facts.epoch };
  }

  append(messages: readonly OutgoingMessage[], stamp: ProducerStamp): Promise<SendReceipt[]> {
    const { engine, reading } = this;
    const { producerId } = stamp;
    const ahead = reading.get(producerId);
    if (ahead) return ahead.then(() => this.append(messages, stamp));
    let earlier: number | undefined;
    try {
      earlier = engine.state.sequences.admit(stamp);
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
    if (earlier !== undefined) return this.receiptsAgain(earlier, messages.length, stamp);
    return engine.appending.append(messages, stamp, (stored) => {
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
    const { journal, appending, state } = this.engine;
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
      receipts.push(appending.copies.receiptOf(block, at));
      next = at + recordAt.length(block, at);
    }
    // The first copy may still be on its way to the disk.
    const patience = receipts.map(({ topic }) => state.topics.require(topic).flushTimeoutMs);
    return appending.flushed({ receipts, sync: true, timeoutMs: Math.max(...patience) });
  }
}
